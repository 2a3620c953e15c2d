"""How much time is left of a deadline."""

import math
from collections.abc import Callable


class Limit:
    """A deadline that began to run when it was made.

    Args:
        seconds: How long it is; None is without end.
        clock: Seconds that never go back.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._end = clock() + self.seconds

    def left(self) -> float | None:
        """Return the seconds left, or None if there is no deadline."""
        return None if self._end == math.inf else max(0.0, self._end - self._clock())

    def allows(self, pause: float) -> bool:
        """Tell whether anything is left after a pause."""
        left = self.left()
        return left is None or pause < left
