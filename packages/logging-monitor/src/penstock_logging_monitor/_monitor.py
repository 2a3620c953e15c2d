"""The monitor: looks at the directory of log files again and again, and ships what is closed."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from penstock_logging_monitor._choice import choose_logs_dir, choose_target
from penstock_logging_monitor._claimed import logs_oldest_first
from penstock_logging_monitor._configure import close_own_file
from penstock_logging_monitor._errors import LogMonitorError
from penstock_logging_monitor._lock import CAN_LOCK
from penstock_logging_monitor._pass import Pass
from penstock_logging_monitor._patience import Patience
from penstock_logging_monitor._staging import EXTENSION, Compression
from penstock_logging_monitor._statistics import MonitorStatistics
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential

    from penstock_logging_monitor._target import Target

_log = logging.getLogger(__name__)

_DRAIN_INTERVAL = 0.1  # seconds between looks while draining
_QUIET_LOOKS = 2  # a rename can hide a file from one listing, not from two


class LogMonitorService:
    """Ships the closed log files of a directory, and adopts the files of writers that died.

    Several monitors may work on one directory: the lock on each file decides which of them acts. The directory itself
    is the ledger: what is in it is not shipped for certain, what was shipped is gone from it.

    Args:
        logs_dir: Directory of the log files, on a local disk. None: ``LOGS_DIR``, else ``logs``.
        account_name: Storage account, by name; None: ``AZURE_STORAGE_ACCOUNT`` (name or URL) or
            ``AZURE_STORAGE_CONNECTION_STRING``. If nothing names an archive, files are put in order and stay.
        account_url: The same by URL.
        container_name: None: ``LOGS_CONTAINER``, else ``fla-logs``. It is made if it is missing.
        connection_string: Instead of an account.
        credential: An async token credential for the account; it is not closed.
        target: A directory as archive, or an archive of your own, instead of an account.
        scan_interval: Seconds between two looks at the directory.
        compress: ``"gzip"``, or ``"none"``.
        concurrency: Files on their way at once.

    Attributes:
        directory: Directory of the log files.
        target: The archive; None: there is none, and the files of dead writers are closed, and stay.

    Raises:
        ValueError: Two arguments contradict each other, or one is malformed.
        LogMonitorError: Blob Storage is meant, but the extra ``[azure]`` is not installed.
    """

    def __init__(
        self,
        logs_dir: str | os.PathLike[str] | None = None,
        account_name: str | None = None,
        account_url: str | None = None,
        container_name: str | None = None,
        *,
        connection_string: str | None = None,
        credential: AsyncTokenCredential | None = None,
        target: str | os.PathLike[str] | Target | None = None,
        scan_interval: float = 1.0,
        compress: Compression = "gzip",
        concurrency: int = 4,
    ) -> None:
        if compress not in EXTENSION:
            raise ValueError(f"compress must be 'gzip' or 'none', not {compress!r}")
        if scan_interval <= 0:
            raise ValueError(f"scan_interval must be more than 0 seconds, not {scan_interval}")
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.directory = choose_logs_dir(logs_dir)
        self.target = choose_target(
            target=target,
            account_name=account_name,
            account_url=account_url,
            container_name=container_name,
            connection_string=connection_string,
            credential=credential,
        )
        self._scan_interval = scan_interval
        self._compression: Compression = compress
        self._concurrency = concurrency
        self._statistics = MonitorStatistics()
        self._patience = Patience(time.monotonic)
        self._task: asyncio.Task[None] | None = None
        self._blind = False

    async def initialize(self) -> None:
        """Start to look; a second call changes nothing.

        Raises:
            LogMonitorError: This system has no file locks, by which to tell a dead writer from a living one.
            OSError: The directory cannot be made.
        """
        if self._task:
            return
        if not CAN_LOCK:
            raise LogMonitorError("log files cannot be monitored here: the system has no flock", permanent=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.target:
            await self.target.open()
        self._draining = asyncio.Event()
        self._task = asyncio.create_task(self._watch(), name="penstock-log-monitor")

    async def shutdown(self, drain: float = 28.0) -> list[str]:
        """Ship what there is, wait for living writers and ship theirs too, then stop.

        Args:
            drain: Seconds until it stops in any case. Nothing is lost by that: what stays is the next monitor's.

        Returns:
            Names of the log files that stay.
        """
        task, self._task = self._task, None
        if task is None:
            return []
        close_own_file()
        self._draining.set()
        try:
            await asyncio.wait({task}, timeout=drain)
        finally:
            task.cancel()
            await asyncio.wait({task})
            if self.target:
                await self.target.close()
        if not task.cancelled():
            task.result()
        return [path.name for path in await in_thread(logs_oldest_first, self.directory)]

    def statistics(self) -> MonitorStatistics:
        """Return a copy of the counts."""
        return replace(self._statistics)

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    async def _watch(self) -> None:
        """Look again and again; once draining, until there is nothing more to wait for."""
        quiet = 0
        while True:
            draining = self._draining.is_set()
            quiet = quiet + 1 if await self._look() and draining else 0
            if quiet == _QUIET_LOOKS:
                return
            await self._rest()

    async def _look(self) -> bool:
        """Look once; say whether there is nothing to wait for."""
        look = Pass(self.directory, self.target, self._compression, self._statistics, self._patience)
        try:
            await look.run(self._concurrency)
        except OSError as error:
            if not self._blind:
                _log.warning("cannot look at the log files, and will try again: %s", error)
            self._blind = True
            return False
        self._blind = False
        return look.settled

    async def _rest(self) -> None:
        """Wait for the next look, or for the order to drain."""
        if self._draining.is_set():
            await asyncio.sleep(min(self._scan_interval, _DRAIN_INTERVAL))
            return
        try:
            async with asyncio.timeout(self._scan_interval):
                await self._draining.wait()
        except TimeoutError:
            pass
