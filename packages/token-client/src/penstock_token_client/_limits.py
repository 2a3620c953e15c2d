"""The limits of one pool: what Azure grants a deployment, and how far we stay away from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ._terms import Terms

Settling = Literal["judged", "actual"]
"""Whether a report may lower what is charged: Standard deployments never do, provisioned ones do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Tokens and requests per minute of one pool, which is one deployment.

    Azure OpenAI judges a request when it arrives, by prompt estimate plus ``max_tokens``, and evaluates the request
    limit over sub-windows of 1 or 10 seconds (Azure OpenAI documentation, "Manage quota"). The margins are there
    because a grant reaches Azure a little after it was given.

    Attributes:
        tpm: Tokens per window, at least 1.
        rpm: Requests per window, at least 1.
        sub_window: Seconds over which the requests are paced.
        headroom: Share added to the prompt part of an estimate, 0.02 for 2 %, because Azure counts prompts its own way.
        settle: ``"judged"``: a report never lowers the charge. ``"actual"``: it does.
        window: Seconds over which ``tpm`` and ``rpm`` count; 60 at Azure, less in tests.
        margin: Seconds by which a charge outlives the window.
        sub_margin: Seconds by which a request outlives its sub-window.
        learn_max_tokens: The part of the answers that a suggested ``max_tokens`` is to be enough for, above 0 and
            below 1; 0.95 is a good choice. None suggests nothing.
    """

    tpm: int
    rpm: int
    sub_window: float = 1.0
    headroom: float = 0.02
    settle: Settling = "judged"
    window: float = 60.0
    margin: float = 0.25
    sub_margin: float = 0.1
    learn_max_tokens: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could ever be granted, or which promise nothing."""
        for name in ("tpm", "rpm"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        for name in ("sub_window", "window"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a positive number of seconds, not {getattr(self, name)!r}")
        for name in ("headroom", "margin", "sub_margin"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, not {getattr(self, name)!r}")
        if self.learn_max_tokens is not None and not 0 < self.learn_max_tokens < 1:
            raise ValueError(f"learn_max_tokens must be between 0 and 1, or None, not {self.learn_max_tokens!r}")
        if self.settle not in ("judged", "actual"):
            raise ValueError(f"settle must be 'judged' or 'actual', not {self.settle!r}")

    def charge(self, token_count: int, max_tokens: int = 0) -> int:
        """Return what an estimate of ``token_count`` tokens costs, ``max_tokens`` of which are known exactly."""
        return self.terms().cost(token_count, max_tokens)

    def terms(
        self,
        *,
        tpm: int | None = None,
        bias: float = 1.0,
        margin: float = 0.0,
        sub_margin: float = 0.0,
        paused_until: float = -math.inf,
    ) -> Terms:
        """Return the terms in force, as far as nothing that was learned says otherwise.

        Args:
            tpm: A lower limit than the configured one.
            bias: What Azure counts for a token of a prompt that was estimated.
            margin: Seconds to add to the margin.
            sub_margin: Seconds to add to the margin of the sub-window.
            paused_until: The time before which nothing is granted.
        """
        burst, seconds = self._pace()
        return Terms(
            tpm=self.tpm if tpm is None else tpm,
            rpm=self.rpm,
            span=self.window + self.margin + margin,
            burst=burst,
            pace=seconds + self.sub_margin + sub_margin,
            prompt_rate=(1 + self.headroom) * bias,
            paused_until=paused_until,
        )

    def _pace(self) -> tuple[int, float]:
        """Return how many requests may start in how many seconds.

        A sub-window that would hold less than one request is stretched until it holds one.
        """
        burst = int(self.rpm * self.sub_window / self.window)
        return (burst, self.sub_window) if burst >= 1 else (1, self.window / self.rpm)
