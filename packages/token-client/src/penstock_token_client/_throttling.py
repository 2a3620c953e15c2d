"""What Azure tells us to keep to for a while: a lower limit, a pause, and a distance that proved too short.

Each 429 says that something was wrong, and what follows is what makes its cause less likely: a pause as long as Azure
asks for, and either a wider margin of the sub-window, or a wider margin of the window with a part of the tokens held
back. All of it wears off when nothing more is heard.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._limits import Limits
    from ._usage import Usage

Cause = Literal["tokens", "requests", "other"]
"""What a 429 was for: too many tokens, too many requests at once, or something that is not our quota."""

_HOLD = 600.0
"""Seconds for which what was heard holds; Azure lowers limits for hours, and repeats it with every answer."""

_RESERVE = 0.01
_MOST_RESERVE = 0.1
_FIRST_MARGIN = 0.05
_MOST_MARGIN = 5.0


class Fading:
    """An amount that is raised when something went wrong, and falls evenly to nothing within `_HOLD` seconds.

    Args:
        most: What it is never raised above.
        rest: Seconds after a raise in which it is not raised again, because one cause refuses several requests.
    """

    def __init__(self, most: float, rest: float) -> None:
        self._most = most
        self._rest = rest
        self._amount = 0.0
        self._since = -math.inf

    def last(self) -> tuple[float, float]:
        """Return the amount that it was raised to last, and when; 0 if it never was."""
        return (self._amount, self._since) if self._amount else (0.0, 0.0)

    def restore(self, amount: float, since: float) -> None:
        """Take over what it was raised to, and when."""
        if amount:
            self._amount, self._since = amount, since

    def raise_to(self, amount: float, now: float) -> None:
        """Begin anew with an amount."""
        if now >= self._since + self._rest:
            self._amount, self._since = min(amount, self._most), now

    def at(self, now: float) -> float:
        """Return what is left."""
        return max(0.0, self._amount * (1 - (now - self._since) / _HOLD)) if self._amount else 0.0


class Throttling:
    """Owns what reports say about limits, refusals and pauses.

    Args:
        limits: The pool's limits.

    Attributes:
        refused: 429s seen, by what they were for.
        paused_until: The time before which Azure wants nothing.
    """

    def __init__(self, limits: Limits) -> None:
        self.refused: dict[Cause, int] = {"tokens": 0, "requests": 0, "other": 0}
        self.paused_until = -math.inf
        self._limits = limits
        self._lowered = limits.tpm
        self._lowered_until = -math.inf
        self._margin = Fading(_MOST_MARGIN, limits.window)
        self._sub_margin = Fading(min(_MOST_MARGIN, limits.sub_window), limits.sub_window)
        self._reserve = Fading(_MOST_RESERVE, limits.window)

    def tpm(self, now: float) -> int:
        """Return the tokens per window that may be used: what Azure said last, less what is held back."""
        limit = self._lowered if now < self._lowered_until else self._limits.tpm
        return limit - math.ceil(limit * self._reserve.at(now))

    def margin(self, now: float) -> float:
        """Return the seconds that the window's margin is wider than configured."""
        return self._margin.at(now)

    def sub_margin(self, now: float) -> float:
        """Return the seconds that the sub-window's margin is wider than configured."""
        return self._sub_margin.at(now)

    def hear(self, usage: Usage, now: float) -> bool:
        """Take what a response said of the limit; tell whether it said anything."""
        limit = usage.ratelimit.limit_tokens
        if limit is None:
            return False
        self._lowered, self._lowered_until = min(limit, self._limits.tpm), now + _HOLD
        return True

    def refuse(self, usage: Usage, cost: int, now: float) -> Cause:
        """Take a refusal, and return what it was for.

        Args:
            usage: The report.
            cost: What its grant is charged.
            now: The time.
        """
        self.hear(usage, now)
        cause = self._cause(usage, cost)
        self.refused[cause] += 1
        self._keep_away(cause, now)
        self._pause((usage.ratelimit.retry_after_ms or 0) / 1000, now)
        return cause

    def restore(self, *, lowered: int, lowered_until: float, paused_until: float) -> None:
        """Take over what another process heard."""
        self._lowered, self._lowered_until = min(lowered, self._limits.tpm), lowered_until
        self.paused_until = paused_until

    def distances(self) -> tuple[tuple[float, float], ...]:
        """Return what is kept away from: what `keep_distances` takes."""
        return tuple(fading.last() for fading in (self._margin, self._sub_margin, self._reserve))

    def keep_distances(self, distances: Iterable[tuple[float, float]]) -> None:
        """Take over what another process keeps away from."""
        for fading, (amount, since) in zip((self._margin, self._sub_margin, self._reserve), distances, strict=False):
            fading.restore(amount, since)

    def heard(self) -> tuple[int, float, float]:
        """Return what `restore` takes: the lowered limit, until when it holds, and the end of the pause."""
        return self._lowered, self._lowered_until, self.paused_until

    def _pause(self, seconds: float, now: float) -> None:
        """Let the pool rest; never longer than a window, because longer is said of what can never fit."""
        self.paused_until = max(self.paused_until, now + min(seconds, self._limits.window))

    def _cause(self, usage: Usage, cost: int) -> Cause:
        """Tell what a refusal was for, by what was left and by how long it asks to wait."""
        left, wait = usage.ratelimit.remaining_tokens, usage.ratelimit.retry_after_ms
        if left is not None and left < cost:
            return "tokens"
        if wait is not None and wait <= 1000 * max(self._limits.sub_window, 1.0):
            return "requests"
        return "tokens" if left is None else "other"

    def _keep_away(self, cause: Cause, now: float) -> None:
        """Keep a greater distance from what a request was refused for."""
        if cause == "requests":
            self._sub_margin.raise_to(max(2 * self.sub_margin(now), _FIRST_MARGIN), now)
        elif cause == "tokens":
            self._margin.raise_to(max(2 * self.margin(now), _FIRST_MARGIN), now)
            self._reserve.raise_to(self._reserve.at(now) + _RESERVE, now)
