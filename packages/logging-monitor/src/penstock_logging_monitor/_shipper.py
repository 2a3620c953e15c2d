"""Files on their way to the archive: a few at once, while the directory is looked at again and again."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock_logging_monitor._patience import ARCHIVE
from penstock_logging_monitor._quarantine import put_aside
from penstock_logging_monitor._ship import Receipt, Shipped, copy, ship

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine
    from pathlib import Path

    from penstock_logging_monitor._claimed import ClaimedLog
    from penstock_logging_monitor._header import Header
    from penstock_logging_monitor._notices import Notices
    from penstock_logging_monitor._older import OlderName
    from penstock_logging_monitor._patience import Patience
    from penstock_logging_monitor._staging import Compression
    from penstock_logging_monitor._statistics import MonitorStatistics
    from penstock_logging_monitor._target import Target


@dataclass(kw_only=True)
class Shipper:
    """Runs at most ``limit`` shipments at once. A slow upload takes one place, and no look waits for it.

    What goes wrong with one file concerns no other; what is wrong with the archive is told once, and rests all files.

    Attributes:
        target: The archive.
        compression: How files are packed for it.
        limit: Files on their way at once.
        counts: Where to count.
        patience: Which files, and whether the archive, to leave alone for now.
        notices: Where to tell what somebody should hear of.
        keep: Folder for files that were shipped; None: they are removed.
        part_mark: What tells this host's unfinished packing from that of others.
    """

    target: Target
    compression: Compression
    limit: int
    counts: MonitorStatistics
    patience: Patience
    notices: Notices
    keep: Path | None = None
    part_mark: str = ""
    _stopping: threading.Event = field(default_factory=threading.Event)  # asked by the threads that compress
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _copied: dict[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether any file is on its way."""
        return bool(self._running)

    def is_carrying(self, name: str) -> bool:
        """Say whether a file is on its way."""
        return name in self._running

    def may_try(self, name: str) -> bool:
        """Say whether it is time to try a file."""
        return self.patience.allows(ARCHIVE) and self.patience.allows(name)

    def is_refused(self, name: str) -> bool:
        """Say whether the archive refuses a file for good, though it was asked again and again."""
        return self.patience.is_refused(name)

    def has_copied(self, log: ClaimedLog) -> bool:
        """Say whether all that a file holds now was copied before."""
        return self._copied.get(log.path.name) == _state(log)

    async def begin(
        self, log: ClaimedLog, origin: Header | OlderName, *, copying: bool = False, within: float = 0.0
    ) -> bool:
        """Take over a claimed file, its lock included, as soon as there is room; False: not ``within`` seconds."""
        if len(self._running) >= self.limit:
            await asyncio.wait(self._running.values(), timeout=max(within, 0.0), return_when=asyncio.FIRST_COMPLETED)
        if len(self._running) >= self.limit:
            return False
        self._start(log, self._copy(log, origin) if copying else self._ship(log, origin))
        return True

    async def stop(self) -> None:
        """Break off all shipments, and wait until they have let go of their files."""
        self._stopping.set()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def forget_files_but(self, names: Collection[str]) -> None:
        """Drop what is remembered of files that are gone."""
        self.patience.forget_files_but(names)
        self._copied = {name: state for name, state in self._copied.items() if name in names}

    def _start(self, log: ClaimedLog, shipment: Coroutine[None, None, None]) -> None:
        name = log.path.name
        task = self._running[name] = asyncio.create_task(shipment, name=f"penstock-log-shipment {name}")

        def end(_: asyncio.Task[None]) -> None:
            del self._running[name]
            log.close()  # here, since a task that is cancelled before its first step runs nothing of its own

        task.add_done_callback(end)

    async def _ship(self, log: ClaimedLog, origin: Header | OlderName) -> None:
        try:
            receipt = await ship(
                log,
                origin,
                self.target,
                self.compression,
                part_mark=self.part_mark,
                keep=self.keep,
                is_abandoned=self._stopping.is_set,
            )
        except Exception as error:  # noqa: BLE001  # told and counted; the next file must get its turn
            self._note_failure(log, error)
        else:
            self._note_arrival(log, receipt)

    async def _copy(self, log: ClaimedLog, origin: Header | OlderName) -> None:
        state = _state(log)
        try:
            await copy(
                log,
                origin,
                self.target,
                self.compression,
                part_mark=self.part_mark,
                is_abandoned=self._stopping.is_set,
            )
        except Exception as error:  # noqa: BLE001  # as above
            self._note_failure(log, error)
        else:
            self._copied[log.path.name] = state
            self.counts.copied += 1
            self._note_well()

    def _note_arrival(self, log: ClaimedLog, receipt: Receipt) -> None:
        self.counts.torn += receipt.torn
        if receipt.shipped is Shipped.CREATED:
            self.counts.created += 1
        elif receipt.shipped is Shipped.SAME:
            self.counts.same += 1
        else:
            self.counts.conflicts += 1
            name = log.facts.name
            self.notices.tell(name, f"other content had the archive name of {name}: both are kept there")
        self._note_well()

    def _note_well(self) -> None:
        self.patience.arrived()
        self.notices.ended(ARCHIVE, "the archive takes files again")

    def _note_failure(self, log: ClaimedLog, error: Exception) -> None:
        name = log.path.name
        self.counts.failed += 1
        retry_after: float | None = getattr(error, "retry_after", None)
        if getattr(error, "environment", False):
            self.patience.failed(ARCHIVE, retry_after)
            text = f"the archive takes no files, which stay and will be tried again: {describe(error)}"
            self.notices.tell(ARCHIVE, text)
        elif self.patience.failed(name, retry_after, for_good=getattr(error, "permanent", False)):
            self._put_aside(log, describe(error))
        else:
            self.notices.tell(name, f"cannot ship {name}, and will try again: {describe(error)}")

    def _put_aside(self, log: ClaimedLog, reason: str) -> None:
        try:
            place = put_aside(log, reason)
        except OSError as error:
            self.notices.tell(log.path.name, f"cannot put {log.path.name} aside: {describe(error)}")
        else:
            self.notices.say(f"put aside, because it cannot be shipped: {place}: {reason}")


def describe(error: Exception) -> str:
    """Name an error; its text only where it is known to hold no secret: ours, and the operating system's."""
    if isinstance(error, OSError) or hasattr(error, "permanent"):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def _state(log: ClaimedLog) -> tuple[float, int]:
    return log.facts.written, log.facts.size
