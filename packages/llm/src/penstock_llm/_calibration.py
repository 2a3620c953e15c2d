"""What a schema really costs: learned from usage, because no rule is published. Pure."""

from collections import deque
from typing import Final

_REMEMBERED: Final = 20
_ENOUGH: Final = 5
"""So many answers must agree before an estimate is lowered; one is enough to raise it."""


class Calibration:
    """The overhead of one schema in one deployment: tokens of the prompt that are not its messages.

    Args:
        guess: What is assumed until it is known better.
    """

    def __init__(self, guess: int) -> None:
        self._guess = guess
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def overhead(self) -> int:
        """The greatest overhead seen lately; not less than guessed while only a few answers are known."""
        known = max(self._seen, default=self._guess)
        return known if len(self._seen) >= _ENOUGH else max(known, self._guess)

    def learn(self, overhead: int) -> None:
        """Take what one answer's usage says."""
        self._seen.append(max(0, overhead))
