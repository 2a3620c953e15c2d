"""The journal's file: a directory that one process holds, appended to durably, replaced whole.

Everything here blocks, and belongs into a thread. Needs ``flock``, so it works on Linux and macOS.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from ._records import JournalError

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform != "win32":
    import fcntl

_NAME = "journal"
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class JournalFile:
    """Owns a journal directory from its construction to `close`.

    Args:
        directory: Where the journal is; it is made if it is missing.

    Attributes:
        size: Bytes in the file.

    Raises:
        JournalError: Another process holds the directory, or it cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.size = 0
        self._directory = directory
        self._path = directory / _NAME
        self._file: int | None = None
        self._lock = _hold(directory)

    def read(self) -> bytes:
        """Return what the file holds; nothing if there is none.

        Raises:
            JournalError: It cannot be read.
        """
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise JournalError(f"{self._path} cannot be read ({error.strerror})") from error

    def append(self, data: bytes) -> None:
        """Add bytes durably.

        Raises:
            OSError: It failed; what of it is in the file is unknown, so only `replace` may follow.
        """
        if self._file is None:
            raise FileNotFoundError(self._path)
        _write_all(self._file, data)
        self.size += len(data)

    def replace(self, data: bytes) -> None:
        """Hold these bytes and nothing else, durably; at any moment of a crash the old file is there, or the new one.

        Raises:
            OSError: It failed, and the file is one of the two.
        """
        new = self._path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write_all(file, data)
            new.replace(self._path)
            self._sync_directory()
        except OSError:
            os.close(file)
            new.unlink(missing_ok=True)  # a full disk needs its room back
            raise
        self._forget_file()
        self._file = file
        self.size = len(data)

    def close(self) -> None:
        """Let go of the directory."""
        self._forget_file()
        os.close(self._lock)

    def _forget_file(self) -> None:
        """Close the file that was appended to."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _sync_directory(self) -> None:
        """Make a new name durable."""
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _hold(directory: Path) -> int:
    """Lock a directory for the life of this process; the kernel unlocks it however the process ends."""
    if sys.platform == "win32":
        raise JournalError("a journal needs file locks that this system does not have: leave it out")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"it cannot be used ({error.strerror}): name a directory that can be written") from error
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError("another token counter uses it: stop that one, or name another directory") from error
        undo.pop_all()
    return lock


def _write_all(file: int, data: bytes) -> None:
    """Write bytes to their end, and wait until they are durable."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    _sync_data(file)
