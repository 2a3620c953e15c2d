"""What a call to the model used, as its caller reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ._ratelimit import SILENCE, RateLimit

if TYPE_CHECKING:
    from ._grant import Grant

CallStatus = Literal["ok", "429", "error", "truncated"]
"""How the call to the model ended."""


class Usage(NamedTuple):
    """One report.

    Attributes:
        prompt_tokens: Tokens of the prompt, as billed.
        completion_tokens: Tokens of the answer, as billed.
        status: How the call ended.
        ratelimit: What the response's headers said.
    """

    prompt_tokens: int
    completion_tokens: int
    status: CallStatus = "ok"
    ratelimit: RateLimit = SILENCE

    @property
    def tokens(self) -> int:
        """Everything that was used."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def final(self) -> bool:
        """Whether that is all that Azure will ever count: not so for a call that failed."""
        return self.status in ("ok", "truncated")


Answer: TypeAlias = "tuple[Grant, Usage, float]"
"""The report of a request that was answered: what it was granted, what it used, and when that was heard."""
