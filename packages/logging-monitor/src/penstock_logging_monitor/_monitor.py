"""The monitor: looks at the directory of log files again and again, and ships what is closed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from penstock_logging_monitor._choice import choose_logs_dir, choose_older_rules, choose_target, require_positive
from penstock_logging_monitor._configure import close_own_file
from penstock_logging_monitor._domain import LockDomain
from penstock_logging_monitor._errors import LogMonitorError
from penstock_logging_monitor._lease import Leases
from penstock_logging_monitor._listing import logs_oldest_first
from penstock_logging_monitor._lock import CAN_LOCK
from penstock_logging_monitor._notices import Notices
from penstock_logging_monitor._pass import Pass
from penstock_logging_monitor._patience import Patience
from penstock_logging_monitor._policy import Policy
from penstock_logging_monitor._room import SHIPPED, Retention
from penstock_logging_monitor._shipper import Shipper, describe
from penstock_logging_monitor._staging import EXTENSION, Compression
from penstock_logging_monitor._statistics import MonitorStatistics, Sight
from penstock_logging_monitor._survey import survey
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from penstock_logging_monitor._blob_target import Credential
    from penstock_logging_monitor._target import Target

_DRAIN_INTERVAL = 0.1  # seconds between looks while draining
_QUIET_LOOKS = 2  # a rename can hide a file from one listing, not from two
_DAY = 24 * 60 * 60.0  # seconds
_BLIND = "*blind"


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
        credential: An async token credential for the account, or an `AzureNamedKeyCredential` or `AzureSasCredential`,
            whose ``update`` tells a running monitor a rotated secret; it is not closed.
        target: A directory as archive, or an archive of your own, instead of an account.
        scan_interval: Seconds between two looks at the directory.
        compress: ``"gzip"``, or ``"none"``.
        concurrency: Files on their way at once.
        keep_shipped: Whether shipped files are kept, in ``shipped/`` below the directory.
        retention_days: Days after its last line for which a file is kept that was shipped, or is complete and has no
            archive to go to. None: for ever.
        max_disk: Bytes that the log files may take here. Beyond it the oldest are **dropped**: copies of shipped ones
            first, then such as are in no archive, which is counted. None: nothing is ever dropped.
        app_name: Application whose files of the older naming, without a header, are looked after. None:
            ``APP_NAME_FOR_LOGGER``, else ``unknown_app``.
        process_name: Process whose rotated files of the older naming are this monitor's own. None: ``PROCESS_NAME``,
            else ``worker-{pid}``.

    Attributes:
        directory: Directory of the log files.
        target: The archive; None: there is none, and the files of dead writers are closed, and stay.
        app_name: The application, for files of the older naming.
        process_name: The process, for files of the older naming.

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
        credential: Credential | None = None,
        target: str | os.PathLike[str] | Target | None = None,
        scan_interval: float = 1.0,
        compress: Compression = "gzip",
        concurrency: int = 4,
        keep_shipped: bool = False,
        retention_days: float | None = None,
        max_disk: int | None = None,
        app_name: str | None = None,
        process_name: str | None = None,
    ) -> None:
        if compress not in EXTENSION:
            raise ValueError(f"compress must be 'gzip' or 'none', not {compress!r}")
        require_positive(scan_interval=scan_interval, retention_days=retention_days, max_disk=max_disk)
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
        self._older = choose_older_rules(app_name, process_name)
        self.app_name, self.process_name = self._older.app, self._older.process
        self._scan_interval = scan_interval
        self._compression: Compression = compress
        self._concurrency = concurrency
        self._keep = self.directory / SHIPPED if keep_shipped else None
        self._retention = None if retention_days is None else retention_days * _DAY
        self._retained = Retention(self.directory, self._retention)
        self._max_disk = max_disk
        self._statistics = MonitorStatistics()
        self._notices = Notices()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it looks after the directory."""
        return self._task is not None and not self._task.done()

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
        self._policy = await in_thread(self._make_policy)
        if self.target:
            await self.target.open()
        self._patience = Patience(time.monotonic)
        self._shipper = self._make_shipper(self.target) if self.target else None
        self._draining = asyncio.Event()
        self._task = asyncio.create_task(self._watch(), name="penstock-log-monitor")

    async def shutdown(self, drain: float = 28.0) -> list[str]:
        """Ship what there is, wait for living writers and ship theirs too, then stop.

        What failed before is tried again at once, however long it was to wait. Files that the archive refuses for good
        are not waited for.

        Args:
            drain: Seconds until it stops in any case. Nothing is lost by that: what stays is the next monitor's.

        Returns:
            Names of the log files that stay.
        """
        task, self._task = self._task, None
        if task is None:
            return []
        close_own_file()
        self._patience.end_all_waits()
        self._draining.set()
        try:
            await asyncio.wait({task}, timeout=drain)
        finally:
            task.cancel()
            await asyncio.wait({task})
            if self._shipper:
                await self._shipper.stop()
            if self.target:
                await self.target.close()
        if not task.cancelled():
            task.result()
        return [entry.name for entry in await in_thread(logs_oldest_first, self.directory)]

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

    async def survey(self) -> Sight:
        """Look at the directory without changing anything in it; also while no monitor runs.

        Raises:
            OSError: The directory cannot be listed.
        """
        return await in_thread(lambda: survey(self.directory, self._make_policy(), now=time.time()))

    def _make_policy(self) -> Policy:
        domain = LockDomain.of(self.directory)
        return Policy(
            shipping=self.target is not None,
            older=self._older,
            domain=domain,
            leases=Leases(self.directory, domain),
            retention=self._retention,
            max_disk=self._max_disk,
        )

    def _make_shipper(self, target: Target) -> Shipper:
        domain = self._policy.domain
        return Shipper(
            target=target,
            compression=self._compression,
            limit=self._concurrency,
            counts=self._statistics,
            patience=self._patience,
            notices=self._notices,
            keep=self._keep,
            part_mark=f".{domain.boot_id}" if domain.shared else "",
        )

    async def _watch(self) -> None:
        """Look again and again; once draining, until there is nothing more to wait for."""
        quiet = 0
        while quiet < _QUIET_LOOKS:
            draining = self._draining.is_set()
            look = await self._look()
            quiet = quiet + 1 if draining and look and look.settled else 0
            if not (look and look.cut_short):
                await self._rest()

    async def _look(self) -> Pass | None:
        """Look once; None when the directory cannot be looked at."""
        look = Pass(self.directory, self._policy, self._shipper, self._statistics, self._notices)
        try:
            await in_thread(self._policy.leases.renew)
            await look.run()
            self._statistics.expired += await in_thread(self._retained.enforce)
        except Exception as error:  # noqa: BLE001  # whatever it is: a monitor that has ended ships nothing
            self._notices.tell(_BLIND, f"cannot look after the log files, and will try again: {describe(error)}")
            return None
        self._notices.ended(_BLIND, f"the log files in {self.directory} can be looked after again")
        return look

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
