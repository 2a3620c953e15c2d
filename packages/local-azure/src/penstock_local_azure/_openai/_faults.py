"""What can go wrong with an answer, as a test asks for it."""

from dataclasses import dataclass
from typing import Literal

from penstock_local_azure._http_faults import CutAnswer, LateAnswer, StalledAnswer

Category = Literal["hate", "self_harm", "sexual", "violence"]
"""What the content filter looks for."""


@dataclass(frozen=True, slots=True)
class InvalidAnswer:
    """A typed answer that is not what was asked for; one in plain text, of which nothing was asked, is left alone.

    Args:
        how: `schema`: one of its values does not fit its schema; `json`: it is no JSON.
    """

    how: Literal["schema", "json"] = "schema"


@dataclass(frozen=True, slots=True)
class TruncatedAnswer:
    """An answer of which half is missing, for reasons of length, however long it might have been."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines.

    Args:
        text: in which words.
    """

    text: str = "I'm sorry, I can't assist with that."


@dataclass(frozen=True, slots=True)
class FilteredPrompt:
    """400: the content filter stops the prompt.

    Args:
        category: what it found there.
    """

    category: Category = "violence"


@dataclass(frozen=True, slots=True)
class FilteredAnswer:
    """The content filter stops the answer; what of it was streamed before stays with the client.

    Args:
        category: what it found there.
    """

    category: Category = "violence"


@dataclass(frozen=True, slots=True)
class Throttled:
    """429, which the judge has nothing to do with, and which counts nowhere.

    Args:
        retry_after: seconds to wait, told in both headers; None: neither is there.
        why: `rate`: a limit is exceeded; `capacity`: the service is; `insufficient_quota`: the account is empty.
    """

    retry_after: float | None = 1.0
    why: Literal["rate", "capacity", "insufficient_quota"] = "rate"


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error of the service.

    Args:
        status: from 500, or 408.
        retry_after: seconds to wait, told in both headers; None: neither is there.
    """

    status: int = 500
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """A stream ends with an error in place of its rest; an answer in one piece is left alone.

    Args:
        after: which part of the stream's events comes before, from 0 to 1.
        code: the error's.
    """

    after: float = 0.5
    code: str = "server_error"


@dataclass(frozen=True, slots=True)
class GatewayPage:
    """A page in HTML comes instead of the answer, as from a proxy.

    Args:
        status: its status.
    """

    status: int = 200


@dataclass(frozen=True, slots=True)
class UnknownLimits:
    """The headers tell -1 of every limit and of what is left of it."""


Delivery = LateAnswer | StalledAnswer | CutAnswer | ErrorEvent | GatewayPage | UnknownLimits
"""What goes wrong with an answer on its way: the answer itself is as it would have been."""
Fault = InvalidAnswer | TruncatedAnswer | Refusal | FilteredPrompt | FilteredAnswer | Throttled | ServerError | Delivery
ChatFault = InvalidAnswer | TruncatedAnswer | Refusal | FilteredAnswer
"""What only an answer in words can suffer."""
