"""A log file that nobody writes any more, and that this monitor alone may touch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from penstock_logging_monitor import _lock
from penstock_logging_monitor._header import Header, read_first_line
from penstock_logging_monitor._names import closed_name, is_log
from penstock_logging_monitor._scan import LogFacts

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class ClaimedLog:
    """A log file whose lock this monitor holds, as a context manager that gives the lock back.

    What is done to the file is done while the lock is held, removing it included: whoever gets the lock next finds that
    the name no longer leads to the file.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        line, header = read_first_line(fd)
        self.facts = LogFacts(path.name, os.fstat(fd).st_size, header, len(line))

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """Take the file; None when its writer lives, or another monitor is at work on it.

        Raises:
            OSError: It cannot be opened or read; FileNotFoundError when it has moved on meanwhile.
        """
        fd = _lock.claim(path, os.O_RDONLY)
        if fd is None:
            return None
        try:
            return cls(path, fd)
        except OSError:
            os.close(fd)
            raise

    def adopt(self, header: Header) -> None:
        """Give a dead writer's current file an immutable name, so that a writer of its name can begin anew."""
        name = closed_name(header, inode=os.fstat(self._fd).st_ino)
        self.path = self.path.rename(self.path.with_name(name))
        self.facts = LogFacts(name, self.facts.size, header, self.facts.header_size)

    def remove(self) -> None:
        """Unlink the file."""
        self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


def logs_oldest_first(directory: Path) -> list[Path]:
    """List the log files of a directory, the one that was written last at the end; none if there is no directory."""
    try:
        with os.scandir(directory) as entries:
            logs = [entry for entry in entries if is_log(entry.name) and entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [directory / entry.name for entry in sorted(logs, key=_written_at)]


def _written_at(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:  # renamed since it was listed; the claim will find out
        return 0
