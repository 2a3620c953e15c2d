"""One closed log file into the archive: staged, put under a name that is fixed beforehand, and only then removed."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_logging_monitor._errors import NameTakenError
from penstock_logging_monitor._header import Header
from penstock_logging_monitor._names import blob_name, conflict_name
from penstock_logging_monitor._older import OlderName
from penstock_logging_monitor._staging import EXTENSION, Compression, Staged, stage
from penstock_logging_monitor._target import Arrival
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_logging_monitor._claimed import ClaimedLog
    from penstock_logging_monitor._target import Target

PART = ".part"

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Shipped(Enum):
    """How a file came to be in the archive."""

    CREATED = "created"
    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of a file that is in the archive.

    Attributes:
        shipped: How it came there.
        torn: Whether its last line has no end.
    """

    shipped: Shipped
    torn: bool


async def ship(
    log: ClaimedLog,
    origin: Header | OlderName,
    target: Target,
    compression: Compression,
    *,
    part_mark: str = "",
    keep: Path | None = None,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Receipt:
    """Bring a claimed file into the archive and remove it here, or move it to the folder ``keep``.

    The name is fixed by the header, or for the older naming by name and content, and compressing the same log gives the
    same bytes: a monitor that died after its upload is followed by one that finds the work done. Other content under
    the name is kept, and ours put beside it.

    Raises:
        Exception: What reading, compressing or the archive raised. The file is still here.
    """
    receipt = await copy(log, origin, target, compression, part_mark=part_mark, is_abandoned=is_abandoned)
    if keep:
        log.move_to(keep)
    else:
        log.remove()
    return receipt


async def copy(
    log: ClaimedLog,
    origin: Header | OlderName,
    target: Target,
    compression: Compression,
    *,
    part_mark: str = "",
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Receipt:
    """Bring what a file holds into the archive, and leave the file; see `ship`."""
    part = log.path.with_name(f"{log.path.name}{EXTENSION[compression]}{part_mark}{PART}")
    elsewhere = Path(tempfile.gettempdir()) / f"penstock-{os.getpid()}-{part.name}"
    pack = partial(
        stage, log.path, compression=compression, headers=int(isinstance(origin, Header)), is_abandoned=is_abandoned
    )
    try:
        staged = await in_thread(_stage_somewhere, pack, part, elsewhere)
        if staged is None:
            raise asyncio.CancelledError
        return Receipt(await _deliver(staged, origin, target, EXTENSION[compression]), staged.torn)
    finally:
        part.unlink(missing_ok=True)
        elsewhere.unlink(missing_ok=True)


def _stage_somewhere(pack: Callable[..., Staged | None], beside: Path, elsewhere: Path) -> Staged | None:
    """Stage a file beside itself or, on a disk that is full of logs, which only shipping can empty, elsewhere."""
    try:
        return pack(part=beside)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        beside.unlink(missing_ok=True)
        return pack(part=elsewhere)


async def _deliver(staged: Staged, origin: Header | OlderName, target: Target, extension: str) -> Shipped:
    if isinstance(origin, OlderName):
        return await _put(staged, origin.blob_name(staged.sha256, extension), target)
    name = blob_name(origin, extension)
    try:
        arrival = await target.put(staged.path, name, staged.metadata())
    except NameTakenError:
        await _put(staged, conflict_name(name, staged.sha256), target)
        return Shipped.CONFLICT
    return Shipped.SAME if arrival is Arrival.SAME else Shipped.CREATED


async def _put(staged: Staged, name: str, target: Target) -> Shipped:
    """Store a file under a name that its content has a part in: what has this name is this content."""
    try:
        arrival = await target.put(staged.path, name, staged.metadata())
    except NameTakenError as taken:
        if taken.compared:
            raise
        return Shipped.SAME
    return Shipped.SAME if arrival is Arrival.SAME else Shipped.CREATED
