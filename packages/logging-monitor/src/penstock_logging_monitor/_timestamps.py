"""Moments as text, cheaply: the part that changes once a second is made once a second."""

from __future__ import annotations

import time

_SECOND = 1_000_000  # microseconds


class Timestamps:
    """Writes epoch seconds as ISO 8601 in UTC with microseconds; remembers the second it wrote last."""

    def __init__(self) -> None:
        self._written = (0, "")  # one tuple, replaced as a whole: threads may share this

    def of(self, moment: float) -> str:
        """Return, for example, ``2026-03-01T12:00:00.000250Z``."""
        microseconds = round(moment * _SECOND)
        begin, text = self._written
        if not (begin <= microseconds < begin + _SECOND and text):
            begin, text = self._written = self._second_of(microseconds)
        return f"{text}{str(microseconds - begin + _SECOND)[1:]}Z"  # seven digits, of which the first is not shown

    @staticmethod
    def _second_of(microseconds: int) -> tuple[int, str]:
        second = microseconds // _SECOND
        return second * _SECOND, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
