"""When to look after a current file; pure decisions.

A file holds the records of one UTC day. The day's *change* counts, in either direction: a clock stepped back starts a
new file too. How large a file is, its writer sees at each record; day and name it looks after from time to time.
"""

from __future__ import annotations

DAY_NS = 24 * 60 * 60 * 1_000_000_000
LOOK_EVERY_NS = 1_000_000_000


def is_another_day(opened_ns: int, now_ns: int) -> bool:
    """Say whether a file opened then must not take the records of now."""
    return opened_ns // DAY_NS != now_ns // DAY_NS


def next_look_ns(now_ns: int) -> int:
    """Return until when, after a look, the file may be written without another: a second, but never past midnight."""
    return min(now_ns + LOOK_EVERY_NS, (now_ns // DAY_NS + 1) * DAY_NS)
