"""One current log file: open, locked, and this process's own until it is closed."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock_logging_monitor import _lock
from penstock_logging_monitor._header import read_first_line
from penstock_logging_monitor._names import closed_name, current_name, set_aside_name

if TYPE_CHECKING:
    from pathlib import Path

    from penstock_logging_monitor._header import Header

_CREATE = os.O_RDWR | os.O_CREAT | os.O_APPEND


class CurrentFile:
    """A log file that this process writes.

    The lock on the descriptor tells every monitor, for as long as the descriptor is open, that the writer lives.
    """

    def __init__(self, path: Path, fd: int, header: Header) -> None:
        self.path = path
        self.header = header
        self.size = 0
        self._fd = fd
        self.append(header.line())
        self._size_of_header = self.size

    @classmethod
    def open(cls, directory: Path, header: Header) -> CurrentFile:
        """Open a new file, under the process's name or, while live namesakes write, under ``name~1``, ``name~2``, ...

        What a dead namesake left under the name is renamed out of the way, never appended to: its torn last line must
        not run into ours.

        Raises:
            OSError: The directory cannot be made or written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            process = f"{header.process}~{number}" if number else header.process
            path = directory / current_name(header.app, process)
            fd = _claim_empty(path)
            if fd is not None:
                return cls._begin(path, fd, replace(header, process=process))
        raise AssertionError("unreachable: a directory holds finitely many files")

    @classmethod
    def _begin(cls, path: Path, fd: int, header: Header) -> CurrentFile:
        try:
            return cls(path, fd, header)
        except OSError:
            os.close(fd)
            raise

    @property
    def has_records(self) -> bool:
        """Whether there is more than the header."""
        return self.size > self._size_of_header

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the file."""
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def append(self, data: bytes) -> None:
        """Write ``data`` with one system call, and leave nothing of it behind if it cannot be written whole.

        Raises:
            OSError: The data was not written.
        """
        length, written = len(data), os.write(self._fd, data)
        if written != length:
            self._append_rest(memoryview(data)[written:])
        self.size += length

    def is_at_its_name(self) -> bool:
        """Say whether a reader of the directory would still find this file under its name."""
        return _lock.leads_to(self.path, self._fd)

    def retire(self) -> None:
        """Give the file its immutable name; one without records is removed. The lock stays until `close`.

        Raises:
            OSError: The directory does not let us.
        """
        if not self.is_at_its_name():
            return
        if self.has_records:
            self.path.rename(self.path.with_name(closed_name(self.header, inode=self.identity[1])))
        else:
            self.path.unlink()

    def close(self) -> None:
        """Close the descriptor, and with its last copy the lock."""
        os.close(self._fd)

    def _append_rest(self, rest: memoryview) -> None:
        """Finish a short write, which a full disk makes; the second attempt then says why it was short."""
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise


def _claim_empty(path: Path) -> int | None:
    """Lock a new, empty file under this name; None when a live namesake has it, or what is there may not be moved."""
    while True:
        fd = _lock.claim(path, _CREATE)
        if fd is None or os.fstat(fd).st_size == 0:
            return fd
        try:
            _set_aside(path, fd)
        except PermissionError:
            return None
        finally:
            os.close(fd)


def _set_aside(path: Path, fd: int) -> None:
    """Rename a dead namesake's file, whose lock we hold, to a name of its own."""
    _, header = read_first_line(fd)
    inode = os.fstat(fd).st_ino
    name = closed_name(header, inode=inode) if header else set_aside_name(path.name, inode=inode)
    path.rename(path.with_name(name))
