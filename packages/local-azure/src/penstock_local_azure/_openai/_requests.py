"""What the endpoint saw: the requests that asked a deployment for something, and what became of them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, overload

from ._bodies import read_body
from ._fault_script import Operation


@dataclass(slots=True, kw_only=True)
class ModelRequest:
    """One request, as the endpoint knows it. What it said is kept from its repr."""

    id: str
    """What its client called it in `x-ms-client-request-id`; else the `x-request-id` of its answer."""
    operation: Operation
    deployment: str
    at: float
    """Seconds since the start of the run."""
    raw: bytes = field(repr=False)
    """What it said, as it arrived: parsed, it would take several times the memory."""
    status: int | None = None
    """What it was answered; None: nothing, so far or ever."""
    judged: int = 0
    """Tokens that the judge counted at arrival; 0: none, it was refused."""
    prompt_tokens: int = 0
    """Tokens of the prompt on the bill."""
    completion_tokens: int = 0
    """Tokens of the answer on the bill."""
    fault: str | None = None
    """What went wrong with it, by the script or a reply."""

    @property
    def body(self) -> dict[str, Any]:
        """Return what it said."""
        return read_body(self.raw)

    @property
    def billed(self) -> int:
        """Return the tokens on the bill."""
        return self.prompt_tokens + self.completion_tokens


MOST_REQUESTS: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""What is kept of them: a stand-in may serve for days."""


class Arrivals(Sequence[ModelRequest]):
    """The newest requests, in the order in which they arrived.

    Older ones are dropped where there are more than 10,000, or where their bodies take more than 64 MiB; the newest one
    always stays.
    """

    def __init__(self) -> None:
        self._kept: deque[ModelRequest] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> ModelRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[ModelRequest]: ...
    def __getitem__(self, index: int | slice) -> ModelRequest | list[ModelRequest]:
        return list(self._kept)[index] if isinstance(index, slice) else self._kept[index]

    def __repr__(self) -> str:
        return repr(list(self._kept))

    def note(self, request: ModelRequest) -> None:
        """Note a request that arrived."""
        self._kept.append(request)
        self._bytes += len(request.raw)
        while len(self._kept) > MOST_REQUESTS or (self._bytes > MOST_BYTES and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().raw)
