"""Moments as text, cheaply: the part that changes once a minute is made once a minute."""

from __future__ import annotations

import time

_MINUTE = 60
_ROUNDED_UP = 59.9999995  # seconds from where on a moment is written as of the next minute


class Timestamps:
    """Writes epoch seconds as ISO 8601 in UTC with microseconds; remembers the minute it wrote last."""

    def __init__(self) -> None:
        self._written = (0, "1970-01-01T00:00:")  # one tuple, replaced as a whole: threads may share this

    def of(self, moment: float) -> str:
        """Return, for example, ``2026-03-01T12:00:00.000250Z``."""
        begin, text = self._written
        seconds = moment - begin
        if not 0 <= seconds < _ROUNDED_UP:
            begin, text = self._written = self._minute_of(round(moment, 6))
            seconds = max(moment - begin, 0.0)
        return "%s%09.6fZ" % (text, seconds)  # noqa: UP031  # a format string takes a third longer

    @staticmethod
    def _minute_of(moment: float) -> tuple[int, str]:
        begin = int(moment // _MINUTE) * _MINUTE
        return begin, time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(begin))
