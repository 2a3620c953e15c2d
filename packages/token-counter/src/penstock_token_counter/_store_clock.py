"""The store's clock as it is known here: between two answers it goes on as this machine's does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class StoreClock:
    """Tells the store's time, within what an answer took.

    Args:
        monotonic: Seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._earliest = self._latest = time.time() - monotonic()

    def set(self, now: float, began: float) -> None:
        """Note the time that the store read at some moment since ``began``, in seconds of this machine's clock."""
        self._earliest, self._latest = now - self.monotonic(), now - began

    def earliest(self) -> float:
        """Return the time, and rather too early than too late."""
        return self.monotonic() + self._earliest

    def latest(self) -> float:
        """Return the time, and rather too late than too early."""
        return self.monotonic() + self._latest
