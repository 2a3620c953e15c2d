"""How much disk the log files take: what stayed long enough goes and, if asked for, the oldest beyond a size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock_logging_monitor._claimed import ClaimedLog
from penstock_logging_monitor._listing import Entry, logs_oldest_first
from penstock_logging_monitor._quarantine import FOLDER as QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock_logging_monitor._scan import LogFacts

SHIPPED = "shipped"

_EXPIRE_EVERY = 60.0  # seconds


class Retention:
    """How long copies of shipped files stay; they are looked at once a minute, since there may be many.

    Args:
        directory: Where the log files are.
        seconds: From the last line on; None: for ever.
        clock: Epoch seconds.
        monotonic: Seconds.
    """

    def __init__(
        self,
        directory: Path,
        seconds: float | None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = directory / SHIPPED
        self._seconds = seconds
        self._clock = clock
        self._monotonic = monotonic
        self._next = monotonic()

    def enforce(self) -> int:
        """Remove what stayed long enough; return how many files.

        Raises:
            OSError: One cannot be removed.
        """
        if self._seconds is None or self._monotonic() < self._next:
            return 0
        self._next = self._monotonic() + _EXPIRE_EVERY
        old = [entry for entry in logs_oldest_first(self._folder) if self._clock() - entry.written > self._seconds]
        for entry in old:
            (self._folder / entry.name).unlink(missing_ok=True)
        return len(old)


def make_room(
    directory: Path, limit: int, logs: Iterable[Entry], *, may_go: Callable[[LogFacts], bool]
) -> tuple[int, list[Entry]]:
    """Remove files until all together take at most ``limit`` bytes, or nothing is left that may be removed.

    Copies of shipped files go first, then the oldest of those that were not shipped.

    Args:
        directory: Where the log files are.
        limit: Bytes.
        logs: The log files.
        may_go: Which of them may be removed; asked with their lock held.

    Returns:
        How many copies were removed, and which files that are now in no archive.
    """
    shipped = logs_oldest_first(directory / SHIPPED)
    quarantined = logs_oldest_first(directory / QUARANTINE)
    others = [(entry, directory) for entry in logs] + [(entry, directory / QUARANTINE) for entry in quarantined]
    excess = sum(entry.size for entry in shipped) + sum(entry.size for entry, _ in others) - limit
    copies = 0
    for entry in shipped:
        if excess <= 0:
            break
        (directory / SHIPPED / entry.name).unlink(missing_ok=True)
        copies += 1
        excess -= entry.size
    gone = []
    for entry, folder in sorted(others, key=lambda other: other[0]):
        if excess <= 0:
            break
        if _remove(folder / entry.name, may_go if folder == directory else None):
            gone.append(entry)
            excess -= entry.size
    return copies, gone


def _remove(path: Path, may_go: Callable[[LogFacts], bool] | None) -> bool:
    """Remove a file that nobody has locked and that may go; say whether it is gone."""
    try:
        log = ClaimedLog.claim(path)
        if log is None:
            return False
        with log:
            if may_go is None or may_go(log.facts):
                log.remove()
                return True
    except OSError:  # ours is not the only way to make room, and the next look tries again
        pass
    return False
