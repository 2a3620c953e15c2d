"""Whether another counter on this machine serves the same pool from a ledger of its own, as nobody should want."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows has no such locks, and counters there are not told apart
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def serving(pools: Iterable[str], folder: Path | None = None) -> Iterator[list[str]]:
    """Hold a lock for each pool, and return those that another process holds already; where it cannot, none."""
    if fcntl is None:
        yield []
        return
    with contextlib.ExitStack() as held:
        yield [pool for pool in pools if not _hold(_mine() if folder is None else folder, pool, held)]


def _hold(folder: Path, pool: str, held: contextlib.ExitStack) -> bool:
    """Lock a pool's file until the stack ends; false only if somebody else has."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            return True
        file: IO[bytes] = held.enter_context((folder / f"{pool}.lock").open("ab"))
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _mine() -> Path:
    """Return the folder of this user's locks."""
    return Path(tempfile.gettempdir()) / f"penstock-token-counter-{os.getuid()}"
