"""Whether a process lives, for files of the older naming; all others tell it by their lock."""

from __future__ import annotations

import psutil

_SLACK = 2.0  # seconds: clocks of file systems and of processes are not the same


def is_alive(pid: int, at: float | None) -> bool:
    """Say whether a process with this id lives, and lived at a moment; when that cannot be known, it does.

    Args:
        pid: The process id, in this process's own namespace.
        at: Epoch seconds; None: no matter when it began. A process that began later only reuses the id.
    """
    try:
        return psutil.pid_exists(pid) and (at is None or psutil.Process(pid).create_time() <= at + _SLACK)
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError, OverflowError):  # the system does not say: nothing may be taken away
        return True
