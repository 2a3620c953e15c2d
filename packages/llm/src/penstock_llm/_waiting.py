"""How long to wait before asking an endpoint again. Pure: the time and the randomness are passed in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT: Final = 120.0
"""Seconds; whoever is told to wait longer has better things to do than to hold a message."""

_STEPS: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_JITTER: Final = 0.25


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds an answer tells to wait.

    ``retry-after-ms`` (Azure, milliseconds) comes first, then ``retry-after`` (RFC 9110: seconds or a date).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after")
    seconds = _number(told)
    return _until(told, now or datetime.now(UTC)) if seconds is None else seconds


def delay(told: float | None, failures: int, draw: float) -> float:
    """Return the seconds to wait after so many failures in a row.

    Never less than told, and up to a quarter more, so that a fleet told the same does not wake up as one. Told nothing:
    half a second doubled with each failure, at most 8 s, less up to a quarter.

    Args:
        told: What the endpoint said, if anything.
        failures: At least 1.
        draw: A random number from 0 to 1.
    """
    if told is not None:
        return told + draw * max(_JITTER * told, _JITTER)
    grown = _STEPS[min(failures, len(_STEPS)) - 1]
    return grown * (1 - _JITTER * draw)


def _number(text: str | None) -> float | None:
    """Read a number that is not negative."""
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _until(date: str | None, now: datetime) -> float | None:
    """Read a date as seconds from now."""
    try:
        then = parsedate_to_datetime(date) if date is not None else None
    except ValueError:
        return None
    if then is None:
        return None
    return max(0.0, ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds())
