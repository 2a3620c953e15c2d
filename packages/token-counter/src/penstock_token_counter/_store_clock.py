"""The store's clock as it is known here: between two answers it goes on as this machine's does."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP = 0.5
"""Seconds by which the store's clock goes ahead of this machine's when it is said to have been set."""

_DRIFT = 1e-3
"""Seconds by which two clocks that nobody sets may part in one second: twice what NTP slews one."""


class StoreClock:
    """Tells the store's time, within what an answer took.

    Args:
        monotonic: Seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._earliest, self._latest = time.time() - monotonic(), math.inf
        self._set_at = 0.0

    def set(self, now: float, began: float) -> float:
        """Note the time that the store read at some moment since ``began``, in seconds of this machine's clock.

        Returns:
            The seconds by which the store's clock was put forward since it was read before; 0 if it may not have been.
        """
        ended = self.monotonic()
        ahead = now - ended - self._latest
        allowed = _STEP + _DRIFT * (ended - self._set_at)
        self._earliest, self._latest, self._set_at = now - ended, now - began, ended
        return ahead if ahead > allowed else 0.0

    def earliest(self) -> float:
        """Return the time, and rather too early than too late."""
        return self.monotonic() + self._earliest

    def latest(self) -> float:
        """Return the time, and rather too late than too early."""
        return self.monotonic() + self._latest
