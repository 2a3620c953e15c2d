"""One look at the directory of log files: each file that nobody writes gets its due."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from penstock_logging_monitor._claimed import ClaimedLog, logs_oldest_first
from penstock_logging_monitor._handler import files_of_this_process
from penstock_logging_monitor._scan import Action, decide
from penstock_logging_monitor._ship import Shipped, ship
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock_logging_monitor._patience import Patience
    from penstock_logging_monitor._staging import Compression
    from penstock_logging_monitor._statistics import MonitorStatistics
    from penstock_logging_monitor._target import Target

_log = logging.getLogger(__name__)


class Pass:
    """Goes once over all log files of a directory, oldest first, a few at a time.

    Args:
        directory: Where the log files are.
        target: The archive; None: files are only put in order.
        compression: How files are packed for it.
        statistics: Where to count.
        patience: Which files to leave alone for now.
    """

    def __init__(
        self,
        directory: Path,
        target: Target | None,
        compression: Compression,
        statistics: MonitorStatistics,
        patience: Patience,
    ) -> None:
        self._directory = directory
        self._target = target
        self._compression: Compression = compression
        self._counts = statistics
        self._patience = patience
        self.live = self.waiting = self.kept = self.foreign = 0
        self.restless = False

    @property
    def settled(self) -> bool:
        """Whether no other process writes here, nothing moved meanwhile, and nothing that could be shipped is left."""
        return not (self.live or self.waiting or self.restless)

    async def run(self, concurrency: int) -> None:
        """Settle every file.

        Raises:
            OSError: The directory cannot be listed.
        """
        paths = await in_thread(logs_oldest_first, self._directory)
        self._patience.forget_all_but({path.name for path in paths})
        queue = iter(paths)
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(self._work_off(queue))
        self._counts.scans += 1
        self._counts.live, self._counts.waiting = self.live, self.waiting
        self._counts.kept, self._counts.foreign = self.kept, self.foreign

    async def _work_off(self, queue: Iterator[Path]) -> None:
        for path in queue:
            await self._attend(path)
            await asyncio.sleep(0)  # claiming takes microseconds, but there may be thousands of files

    async def _attend(self, path: Path) -> None:
        """Do what is due for one file; whatever is wrong with it concerns no other."""
        log = self._claim(path)
        if log is None:
            return
        with log:
            try:
                await self._settle(log)
            except Exception as error:  # noqa: BLE001  # told and counted; the next file must get its turn
                self._note_failure(log.path, error)

    def _claim(self, path: Path) -> ClaimedLog | None:
        """Take a file, or note why it cannot be had now."""
        try:
            log = ClaimedLog.claim(path)
            if log is None:
                self._count_live(path)
        except FileNotFoundError:
            self.restless = True  # renamed or removed since it was listed
        except OSError as error:
            self._note_failure(path, error)
        else:
            return log
        return None

    async def _settle(self, log: ClaimedLog) -> None:
        action = decide(log.facts, shipping=self._target is not None)
        if action is Action.ADOPT and log.facts.header:
            log.adopt(log.facts.header)
            self._counts.adopted += 1
            action = decide(log.facts, shipping=self._target is not None)
        if action is Action.SHIP:
            await self._ship(log)
        elif action is Action.REMOVE:
            log.remove()
            self._counts.removed += 1
        elif action is Action.KEEP:
            self.kept += 1
        else:
            self.foreign += 1

    async def _ship(self, log: ClaimedLog) -> None:
        if self._target is None or log.facts.header is None:
            return
        if not self._patience.allows(log.path.name):
            self.waiting += 1
            return
        shipped = await ship(log, log.facts.header, self._target, self._compression)
        if shipped is Shipped.CREATED:
            self._counts.created += 1
        elif shipped is Shipped.SAME:
            self._counts.same += 1
        else:
            self._counts.conflicts += 1
            _log.warning("other content had the archive name of %s: both are kept there", log.facts.name)

    def _count_live(self, path: Path) -> None:
        """Count a locked file, unless it is this very process that writes it and that will not wait for itself."""
        found = path.lstat()
        if (found.st_dev, found.st_ino) not in files_of_this_process():
            self.live += 1

    def _note_failure(self, path: Path, error: Exception) -> None:
        self.waiting += 1
        self._counts.failed += 1
        if self._patience.failed(path.name, getattr(error, "retry_after", None)):
            _log.warning("cannot ship %s, and will try again: %s", path.name, _describe(error))


def _describe(error: Exception) -> str:
    """Name an error; its text only where it is known to hold no secret: ours, and the operating system's."""
    if isinstance(error, OSError) or hasattr(error, "permanent"):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__
