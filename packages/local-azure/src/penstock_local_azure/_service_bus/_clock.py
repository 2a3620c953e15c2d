"""One clock made of two: a steady one that measures how long, and the wall's that tells when."""

from collections.abc import Callable

_MILLISECONDS = 1000


class Clock:
    """Instants are seconds of the steady clock; only what goes on the wire is wall time.

    Args:
        steady: Never goes back; of unknown epoch.
        wall: Seconds since the Unix epoch.
    """

    def __init__(self, steady: Callable[[], float], wall: Callable[[], float]) -> None:
        self.now = steady
        self._wall = wall

    def timestamp(self, instant: float | None = None) -> int:
        """Return `instant` (now, if None) as milliseconds since the epoch."""
        ahead = 0.0 if instant is None else instant - self.now()
        return int((self._wall() + ahead) * _MILLISECONDS)

    def instant(self, timestamp: int) -> float:
        """Return the instant at which the wall clock will show `timestamp`, in milliseconds since the epoch."""
        return self.now() + timestamp / _MILLISECONDS - self._wall()
