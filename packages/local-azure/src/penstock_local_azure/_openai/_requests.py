"""What the endpoint saw: every request that asked a deployment for something, and what became of it."""

from dataclasses import dataclass, field
from typing import Any

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
