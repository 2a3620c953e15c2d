"""One closed log file into the archive: staged, put under the name its header fixes, and only then removed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from penstock_logging_monitor._errors import NameTakenError
from penstock_logging_monitor._names import blob_name, conflict_name
from penstock_logging_monitor._staging import EXTENSION, Compression, Staged, stage
from penstock_logging_monitor._target import Arrival
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    from penstock_logging_monitor._claimed import ClaimedLog
    from penstock_logging_monitor._header import Header
    from penstock_logging_monitor._target import Target

_PART = ".part"


class Shipped(Enum):
    """How a file came to be in the archive."""

    CREATED = "created"
    SAME = "same"
    CONFLICT = "conflict"


async def ship(log: ClaimedLog, header: Header, target: Target, compression: Compression) -> Shipped:
    """Bring a claimed file into the archive and remove it here.

    The name comes from the header, and compressing the same log gives the same bytes: a monitor that died after its
    upload is followed by one that finds the work done. Other content under the name is kept, and ours put beside it.

    Raises:
        Exception: What reading, compressing or the archive raised. The file is still here.
    """
    name = blob_name(header, EXTENSION[compression])
    part = log.path.with_name(f"{log.path.name}{EXTENSION[compression]}{_PART}")
    try:
        staged = await in_thread(stage, log.path, part, compression)
        shipped = await _deliver(staged, name, target)
    finally:
        part.unlink(missing_ok=True)
    log.remove()
    return shipped


async def _deliver(staged: Staged, name: str, target: Target) -> Shipped:
    try:
        arrival = await target.put(staged.path, name, staged.metadata())
    except NameTakenError:
        await target.put(staged.path, conflict_name(name, staged.sha256), staged.metadata())
        return Shipped.CONFLICT
    return Shipped.SAME if arrival is Arrival.SAME else Shipped.CREATED
