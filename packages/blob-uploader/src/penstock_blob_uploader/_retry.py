"""How long to wait before asking again. Pure: the chance is passed in."""

from collections.abc import Callable
from dataclasses import dataclass

CEILING = 300.0
"""Seconds no computed delay exceeds, apart from its jitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that double: ``min(first * 2**n, ceiling)``, give or take a share drawn by chance."""

    first: float
    """Seconds before the first repetition."""
    ceiling: float = CEILING
    """Seconds at which doubling ends."""
    jitter: float = 0.2
    """The share, up or down, that spreads callers who failed together."""

    def delay(self, n: int, *, chance: Callable[[], float], retry_after: float | None = None) -> float:
        """Return the seconds to wait before repetition ``n``, counted from 0.

        Args:
            n: How many repetitions there have been.
            chance: Returns a number in [0, 1), such as ``random.random``.
            retry_after: Seconds the service asked for; never undercut, even above the ceiling. It tells everyone the
                same, so the jitter comes on top.
        """
        # The exponent is bounded because 2.0 ** 1024 overflows, and a pause may well be probed that often.
        computed = min(self.first * 2.0 ** min(n, 64), self.ceiling)
        drawn = chance()
        asked = (retry_after or 0.0) * (1 + self.jitter * drawn)
        return max(computed * (1 + self.jitter * (2 * drawn - 1)), asked)
