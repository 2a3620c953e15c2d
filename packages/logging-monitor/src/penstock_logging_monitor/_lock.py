"""Whether a log file's writer lives: an flock, held on the log file itself.

Process ids lie: in containers every writer is process 1, custom process names carry no id, and ids are reused. The lock
is the kernel's own answer. It follows the file through a rename, is freed at the death of the last process that holds
the descriptor, and is not passed on to a program that a process executes. It decides only within one kernel and on a
local file system.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

CAN_LOCK = sys.platform != "win32"

_EVERYWHERE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def claim(path: Path, flags: int) -> int | None:
    """Open a file and lock it; None when somebody else, of this process or another, holds the lock.

    Between opening and locking, the file may have been renamed or removed by whoever held the lock before. Then the
    name is tried again: a lock counts only while the name still leads to the locked file.

    Raises:
        OSError: The file cannot be opened; FileNotFoundError when it is gone and ``flags`` do not create it.
    """
    while True:
        fd = os.open(path, flags | _EVERYWHERE, 0o666)
        try:
            if not try_lock(fd):
                os.close(fd)
                return None
            if leads_to(path, fd):
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Take the lock without waiting; False when it is held through another descriptor."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def leads_to(path: Path, fd: int) -> bool:
    """Say whether the name still leads to the file that is open here."""
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))
