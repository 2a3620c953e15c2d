"""The terms in force: what a ledger goes by at the moment, which is what is configured and what was learned since."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a grant has to fit into.

    Attributes:
        tpm: Tokens per window.
        rpm: Requests per window.
        span: Seconds for which a charge stays, window and margin.
        burst: Requests that may start within the pace.
        pace: Seconds of the sub-window, margin included.
        prompt_rate: What a token of a prompt is charged, headroom and bias included.
        paused_until: The time before which nothing is granted.
    """

    tpm: int
    rpm: int
    span: float
    burst: int
    pace: float
    prompt_rate: float
    paused_until: float = -math.inf

    @property
    def gap(self) -> float:
        """Seconds between the starts of requests that are spread evenly over the pace."""
        return self.pace / self.burst

    def cost(self, tokens: int, max_tokens: int) -> int:
        """Return what an estimate is charged, ``max_tokens`` of which are known exactly."""
        return math.ceil((tokens - max_tokens) * self.prompt_rate) + max_tokens
