"""What could keep a monitor from its work, found out by trying; each finding with its remedy."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_logging_monitor import _lock
from penstock_logging_monitor._domain import LockDomain
from penstock_logging_monitor._listing import logs_oldest_first
from penstock_logging_monitor._quarantine import FOLDER, count_quarantined
from penstock_logging_monitor._shipper import describe
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock_logging_monitor._monitor import LogMonitorService

_LARGEST_SKEW = 5.0  # seconds between the clocks of this host and of the file system
_LEAST_FREE = 0.05  # of the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at: ``directory``, ``locks``, ``filesystem``, ``permissions``, ``clock``, ``disk``,
            ``quarantine`` or ``archive``.
        text: What was found.
        remedy: What to do about it; empty: all is well.
    """

    check: str
    text: str
    remedy: str = ""


async def examine(monitor: LogMonitorService) -> list[Finding]:
    """Look at everything that a monitor needs; it need not run."""
    findings = await in_thread(lambda: list(_examine_directory(monitor.directory)))
    return [*findings, await _examine_archive(monitor)]


def _examine_directory(directory: Path) -> Iterator[Finding]:
    if not directory.is_dir():
        yield Finding(
            check="directory",
            text=f"{directory} is no directory",
            remedy="make it, or name another one with --logs-dir or LOGS_DIR",
        )
        return
    yield Finding(check="directory", text=str(directory))
    yield _examine_file_system(directory)
    yield from _try_a_file(directory)
    yield _examine_readability(directory)
    yield _examine_disk(directory)
    yield _examine_quarantine(directory)


def _examine_file_system(directory: Path) -> Finding:
    domain = LockDomain.of(directory)
    text = f"{domain.file_system or 'unknown'}, boot id {domain.boot_id}"
    if not domain.shared:
        return Finding(check="filesystem", text=text)
    return Finding(
        check="filesystem",
        text=f"{text}: locks of other hosts cannot be seen on it",
        remedy="give each host a directory on a local disk; else run a monitor on each host for as long as its writers "
        "run: files of other hosts are adopted 11 minutes after their monitor's last sign of life",
    )


def _try_a_file(directory: Path) -> Iterator[Finding]:
    """Do with a file all that a monitor does: make, lock, rename, remove it; and compare its time to ours."""
    try:
        fd, name = tempfile.mkstemp(prefix=".penstock-doctor-", dir=directory)
    except OSError as error:
        yield _not_permitted(directory, error)
        return
    path = Path(name)
    try:
        yield _examine_locks(fd, path)
        yield _examine_clock(path)
        path = path.rename(path.with_suffix(".renamed"))
        yield Finding(check="permissions", text=f"files in {directory} can be made, renamed and removed")
    except OSError as error:
        yield _not_permitted(directory, error)
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def _not_permitted(directory: Path, error: OSError) -> Finding:
    return Finding(
        check="permissions",
        text=f"files in {directory} cannot be made, renamed and removed: {describe(error)}",
        remedy="let this user write there: to ship a file is to remove it",
    )


def _examine_locks(fd: int, path: Path) -> Finding:
    other = os.open(path, os.O_RDONLY)
    try:
        exclusive = _lock.try_lock(fd) and not _lock.try_lock(other)
    finally:
        os.close(other)
    if _lock.CAN_LOCK and exclusive:
        return Finding(check="locks", text="a lock that is held cannot be taken again")
    return Finding(
        check="locks",
        text="locks do not exclude each other here, so that a living writer looks like a dead one",
        remedy="use a local disk of Linux or macOS; on NFS, mount without nolock",
    )


def _examine_clock(path: Path) -> Finding:
    path.touch()
    skew = path.stat().st_mtime - time.time()
    text = f"the file system's clock is {skew:+.1f} s from this host's"
    if abs(skew) <= _LARGEST_SKEW:
        return Finding(check="clock", text=text)
    return Finding(
        check="clock", text=text, remedy="synchronize both clocks: ages of files, and so retention, go by them"
    )


def _examine_readability(directory: Path) -> Finding:
    logs = logs_oldest_first(directory)
    locked_away = [entry.name for entry in logs if not os.access(directory / entry.name, os.R_OK)]
    if not locked_away:
        return Finding(check="permissions", text=f"all {len(logs)} log files can be read")
    return Finding(
        check="permissions",
        text=f"{len(locked_away)} of {len(logs)} log files cannot be read, the first is {locked_away[0]}",
        remedy="run the monitor as the user who writes them, or give each user a directory of its own",
    )


def _examine_disk(directory: Path) -> Finding:
    usage = shutil.disk_usage(directory)
    text = f"{usage.free / 2**20:.0f} MiB of {usage.total / 2**20:.0f} MiB are free"
    if usage.free >= _LEAST_FREE * usage.total:
        return Finding(check="disk", text=text)
    return Finding(check="disk", text=text, remedy="make room, or let --max-disk drop the oldest logs")


def _examine_quarantine(directory: Path) -> Finding:
    count = count_quarantined(directory)
    text = f"{count} files were put aside"
    if not count:
        return Finding(check="quarantine", text=text)
    return Finding(
        check="quarantine",
        text=text,
        remedy=f"read the reasons beside them in {directory / FOLDER}, then move them back or delete them",
    )


async def _examine_archive(monitor: LogMonitorService) -> Finding:
    target = monitor.target
    if target is None:
        return Finding(
            check="archive",
            text="there is none: closed files stay where they are",
            remedy="name one with --account or AZURE_STORAGE_ACCOUNT, or with --target",
        )
    try:
        await target.open()
        try:
            said = await target.check() if hasattr(target, "check") else "cannot be tried without a file"
        finally:
            await target.close()
    except Exception as error:  # noqa: BLE001  # whatever an archive raises is what the doctor is asked for
        return Finding(
            check="archive", text=f"{target}: {describe(error)}", remedy="mend what the message says, and ask again"
        )
    return Finding(check="archive", text=f"{target}: {said}")
