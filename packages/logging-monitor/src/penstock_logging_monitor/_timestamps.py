"""Moments as text, cheaply: the part that changes once a second is made once a second."""

from __future__ import annotations

import time


class Timestamps:
    """Writes epoch seconds as ISO 8601 in UTC with microseconds; remembers the second it wrote last."""

    def __init__(self) -> None:
        self._written = ("no second", "")  # one tuple, replaced as a whole: threads may share this

    def of(self, moment: float) -> str:
        """Return, for example, ``2026-03-01T12:00:00.000250Z``."""
        digits = str(round(moment * 1_000_000))
        second, text = self._written
        if digits[:-6] == second:
            return f"{text}{digits[-6:]}Z"
        return self._begin_second(digits.zfill(7))

    def _begin_second(self, digits: str) -> str:
        second = digits[:-6]
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(int(second)))
        self._written = (second, text)
        return f"{text}{digits[-6:]}Z"
