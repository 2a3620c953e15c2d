"""Planted defects: each takes one guard of the protocol away, and the account must show what it was good for."""

from __future__ import annotations

import fcntl
import os
import random
import uuid
from typing import TYPE_CHECKING, Any
from unittest import mock

from penstock_logging_monitor import _lock, _series, _ship, _writer
from penstock_logging_monitor._header import read_first_line
from penstock_logging_monitor._names import is_current

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock_logging_monitor import Header
    from penstock_logging_monitor._series import FileSeries
    from penstock_logging_monitor._writer import CurrentFile

_LOCKS_IGNORED = 0.5
_BUFFER = 4_096  # bytes

_claim = _lock.claim
_try_lock = _lock.try_lock
_really_copy = _ship.copy
_append = _writer.CurrentFile.append
_abandon = _series.FileSeries.abandon


def plant(mutant: str) -> None:
    """Put a defect into this process and all that are forked from it; nothing if there is no name."""
    if mutant:
        owner, name, replacement = MUTANTS[mutant]
        mock.patch.object(owner, name, replacement).start()


def claim_without_looking(path: Path, flags: int) -> int | None:
    """Take the lock for good, though the name may lead elsewhere by now."""
    fd = os.open(path, flags, 0o666)
    if _lock.try_lock(fd):
        return fd
    os.close(fd)
    return None


def name_at_random(header: Header, extension: str = "") -> str:
    """Make up a name in the archive for each attempt to ship."""
    return f"{header.app}-{uuid.uuid4().hex}.log{extension}"


def claim_even_if_used(path: Path) -> int | None:
    """Append to what a dead namesake left."""
    return _claim(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)


def claim_closed_files_unlocked(path: Path, flags: int) -> int | None:
    """Lock current files only."""
    return _claim(path, flags) if is_current(path.name) else os.open(path, flags)


def ignore_some_locks(fd: int) -> bool:
    """Believe now and then that a lock was had, as on a volume that two hosts share and each locks for itself."""
    return _try_lock(fd) or random.random() < _LOCKS_IGNORED


def claim_by_process_id(path: Path, flags: int) -> int | None:
    """Ask the process id in the header, not the lock, whether the writer of a current file lives."""
    if flags & os.O_CREAT or not is_current(path.name):
        return _claim(path, flags)
    fd = os.open(path, flags)
    _, header = read_first_line(fd)
    if header and not is_alive(header.pid):
        return fd
    os.close(fd)
    return None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


async def take_for_arrived(*args: Any, **kwargs: Any) -> _ship.Receipt:
    """Take an upload for done, whatever came of it."""
    try:
        return await _really_copy(*args, **kwargs)
    except ConnectionError:
        return _ship.Receipt(_ship.Shipped.CREATED, torn=False)


def buffer_first(file: CurrentFile, data: bytes) -> None:
    """Keep records in the process until they are worth a system call."""
    waiting: bytearray = file.__dict__.setdefault("waiting", bytearray())
    waiting += data
    if len(waiting) > _BUFFER:
        _append(file, bytes(waiting))
        waiting.clear()


def unlock_what_is_the_parents(series: FileSeries) -> None:
    """Give the lock back in a forked child, instead of closing the descriptor only."""
    if series.file:
        fcntl.flock(series.file._fd, fcntl.LOCK_UN)
    _abandon(series)


MUTANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "no inode check": (_lock, "claim", claim_without_looking),
    "random names": (_ship, "blob_name", name_at_random),
    "appends to dead files": (_writer, "_claim_empty", claim_even_if_used),
    "closed files unlocked": (_lock, "claim", claim_closed_files_unlocked),
    "locks ignored": (_lock, "try_lock", ignore_some_locks),
    "process ids for locks": (_lock, "claim", claim_by_process_id),
    "removed unshipped": (_ship, "copy", take_for_arrived),
    "buffered": (_writer.CurrentFile, "append", buffer_first),
    "child unlocks": (_series.FileSeries, "abandon", unlock_what_is_the_parents),
}
