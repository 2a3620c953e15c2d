"""What can go wrong with a completion, as facts a retry loop can read without knowing the types.

No text of prompts or answers enters a message or a repr; what a person may need to see is an attribute.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from openai import OpenAIError

from ._usage import Attempt, Attempted, Outcome

OK: Final = 200
"""The status of an answer that the model gave, whatever is wrong with it."""


class CompletionError(Attempted, Exception):
    """The root of every error about a completion.

    Attributes:
        permanent: Asking again cannot help.
        environment: Not this request's fault: the endpoint is out of reach, out of capacity or not set up.
        retry_after: Seconds after which asking again may help, if known.
        attempts: Every request that was made before giving up.
        status: The HTTP status of the last answer; None if there was none.
        headers: The headers of the last answer that was an error.
    """

    permanent: bool = False
    environment: bool = False
    retry_after: float | None = None
    outcome: Outcome = "invalid"

    def __init__(self, message: str, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.attempts: tuple[Attempt, ...] = ()
        self.status = status
        self.headers: Mapping[str, str] = headers or {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as it is: its constructor asks for more than the text."""
        return Exception.__new__, (type(self), *self.args), vars(self)


class InvalidAnswer(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when the last answer allowed did not fit the response model.

    Attributes:
        failures: Where and how, as ``(location, error type)``: ``("items.0.price", "int_parsing")``.
    """

    def __init__(self, model: str, failures: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{location or 'answer'}: {kind}" for location, kind in failures)
        super().__init__(f"the answer does not fit {model}: {listed}", status=OK)
        self.failures = tuple(failures)


class AnswerTruncated(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when an answer was longer than the largest ``max_completion_tokens`` allowed."""

    permanent = True
    outcome: Outcome = "truncated"

    def __init__(self, max_completion_tokens: int) -> None:
        super().__init__(f"the answer is longer than max_completion_tokens={max_completion_tokens}", status=OK)
        self.max_completion_tokens = max_completion_tokens


class AnswerRefused(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when the model declined to answer.

    Attributes:
        refusal: The model's words. They are content: keep them out of logs.
    """

    permanent = True
    outcome: Outcome = "refused"

    def __init__(self, refusal: str) -> None:
        super().__init__("the model refused to answer", status=OK)
        self.refusal = refusal


class ContentFiltered(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when Azure's content filter stopped the prompt or the answer.

    Attributes:
        stage: ``"prompt"`` or ``"answer"``.
        categories: The filters that struck, such as ``"violence"``, as far as Azure says.
    """

    permanent = True
    outcome: Outcome = "filtered"

    def __init__(
        self, stage: str, categories: Sequence[str] = (), *, status: int, headers: Mapping[str, str] | None = None
    ) -> None:
        struck = f" ({', '.join(categories)})" if categories else ""
        super().__init__(f"the content filter stopped the {stage}{struck}", status=status, headers=headers)
        self.stage = stage
        self.categories = tuple(categories)


class RequestRejected(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when the endpoint finds the request itself wrong (HTTP 4xx).

    Attributes:
        code: Azure's code, such as ``"context_length_exceeded"``, if it gave one.
        param: The part of the request it names, if any.
        detail: Azure's own sentence. It may quote the request: keep it out of logs.
    """

    permanent = True
    outcome: Outcome = "rejected"

    def __init__(
        self,
        status: int,
        *,
        code: str | None,
        param: str | None,
        detail: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        named = ", ".join(f"{key}={value}" for key, value in (("code", code), ("param", param)) if value)
        message = f"the endpoint rejected the request with {status}" + (f" ({named})" if named else "")
        super().__init__(message, status=status, headers=headers)
        self.code = code
        self.param = param
        self.detail = detail


class EndpointUnavailable(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when the endpoint cannot serve anybody's request just now.

    Wrong keys (401), missing rights (403), missing deployments (404), rate limits (429), 5xx, broken connections and
    timeouts are all the environment's fault.

    Attributes:
        code: Azure's code, or what happened to the connection.
        passing: It may pass within seconds, so it is worth waiting in place.
        sent: Whether the request may have reached the endpoint, which then charged it.
    """

    environment = True
    outcome: Outcome = "unavailable"

    def __init__(
        self,
        status: int | None,
        *,
        code: str | None = None,
        passing: bool = True,
        sent: bool = True,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        answered = f"answered {status}" if status else "gave no answer"
        message = f"the endpoint {answered}" + (f" ({code})" if code else "")
        super().__init__(message, status=status, headers=headers)
        self.code = code
        self.passing = passing
        self.sent = sent
        self.retry_after = retry_after


class DeadlineExceeded(CompletionError):  # noqa: N818  the name reads as what happened
    """Raised when the deadline passed before there was a valid answer."""

    environment = True
    outcome: Outcome = "unavailable"

    def __init__(self, deadline: float) -> None:
        super().__init__(f"no valid answer within the deadline of {deadline:g} s")
        self.deadline = deadline


class NotSent(OpenAIError):  # noqa: N818  the name reads as what happened
    """Raised by `QuotaTransport` instead of sending a request: there is no quota for it, or it cannot be counted.

    An error of the SDK, too, because those it neither wraps nor answers with another try.

    Attributes:
        permanent: Asking again cannot help.
        environment: Not this request's fault.
        retry_after: Seconds after which asking again may help, if known.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, environment: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.environment = environment
        self.retry_after = retry_after
