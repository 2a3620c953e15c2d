"""The log files of a directory, and in which order they are attended to."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock_logging_monitor._names import is_log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NEWEST_EVERY = 4  # turns


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A log file as the directory shows it.

    Attributes:
        written: When it was last written, in epoch seconds.
        name: Its name.
        size: Bytes.
    """

    written: float
    name: str
    size: int


def logs_oldest_first(directory: Path) -> list[Entry]:
    """List the log files of a directory, the one that was written last at the end; none if there is no directory."""
    try:
        with os.scandir(directory) as found:
            logs = [_entry(one) for one in found if is_log(one.name) and one.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(entry for entry in logs if entry)


class FairQueue:
    """A backlog in order, oldest first; but each fourth turn is the newest file's.

    So a backlog of hours does not hold up what living processes close now, and is itself worked off in order.
    """

    def __init__(self, oldest_first: Sequence[Entry]) -> None:
        self._left = deque(oldest_first)
        self._turn = 0

    def next(self) -> Entry | None:
        """Take the next file; None when there is none left."""
        if not self._left:
            return None
        self._turn += 1
        return self._left.pop() if self._turn % _NEWEST_EVERY == 0 else self._left.popleft()

    def put_back(self, entry: Entry) -> None:
        """Return a file whose turn came too late."""
        self._left.appendleft(entry)

    def left(self) -> Sequence[Entry]:
        """Return what has not had its turn."""
        return self._left


def _entry(found: os.DirEntry[str]) -> Entry | None:
    try:
        facts = found.stat(follow_symlinks=False)
    except FileNotFoundError:  # renamed since it was listed
        return None
    return Entry(facts.st_mtime, found.name, facts.st_size)
