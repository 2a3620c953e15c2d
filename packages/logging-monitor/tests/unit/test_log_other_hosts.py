"""Whose files a monitor may touch where other hosts write beside it: at once by lock, or after a lease."""

from __future__ import annotations

import asyncio
import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from penstock_logging_monitor._domain import file_system_of, is_shared
from penstock_logging_monitor._header import parse_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Logs

    from penstock_logging_monitor import LogMonitorService

ELSEWHERE = "0f0f0f0f-1111-2222-3333-444444444444"

Mounts = dict[str, str]


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mounts], None]:
    """Let the system list these mounts, in this order."""

    def mount(mounts: Mounts) -> None:
        listed = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts.items()]
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: listed)  # noqa: A006, ARG005  # psutil's own name

    return mount


@pytest.fixture
def on_nfs(logs: Logs, mounted: Callable[[Mounts], None]) -> None:
    mounted({"/": "ext4", str(logs.directory): "nfs4"})


def from_elsewhere(logs: Logs, message: str) -> Path:
    """Leave a log that was written on another host."""
    path = logs.dead_writer(message)
    header, records = path.read_bytes().split(b"\n", 1)
    known = parse_header(header)
    assert known is not None
    path.write_bytes(header.replace(known.boot_id.encode(), ELSEWHERE.encode()) + b"\n" + records)
    return path


def lease(logs: Logs, *, age: float) -> None:
    """Have the other host's monitor renew its lease so many seconds ago."""
    path = logs.directory / f".penstock-lease-{ELSEWHERE}"
    path.touch()
    moment = time.time() - age
    os.utime(path, (moment, moment))


def lease_age(logs: Logs, boot_id: str) -> float:
    try:
        return time.time() - (logs.directory / f".penstock-lease-{boot_id}").stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def make_older(logs: Logs, boot_id: str) -> None:
    os.utime(logs.directory / f".penstock-lease-{boot_id}", (0, 0))


async def look(logs: Logs, archive: Path) -> LogMonitorService:
    service = logs.monitor(archive)
    await service.initialize()
    await service.shutdown(drain=10)
    return service


async def test_on_a_local_disk_the_files_of_an_earlier_boot_are_orphans_at_once(logs: Logs, tmp_path: Path) -> None:
    from_elsewhere(logs, "before the reboot")

    await look(logs, tmp_path / "archive")

    assert logs.messages("*.gz", below=tmp_path / "archive") == ["before the reboot"]


@pytest.mark.usefixtures("on_nfs")
async def test_on_a_shared_disk_the_lock_still_speaks_for_this_hosts_own_files(logs: Logs, tmp_path: Path) -> None:
    logs.dead_writer("mine")

    await look(logs, tmp_path / "archive")

    assert logs.messages("*.gz", below=tmp_path / "archive") == ["mine"]


@pytest.mark.usefixtures("on_nfs")
async def test_another_hosts_files_are_left_while_its_lease_lasts_and_ten_minutes_more(
    logs: Logs, tmp_path: Path
) -> None:
    path = from_elsewhere(logs, "theirs")
    lease(logs, age=60 + 600 - 30)

    service = await look(logs, tmp_path / "archive")

    assert path.exists()
    assert service.statistics().other_hosts == 1
    assert list((tmp_path / "archive").rglob("*.gz")) == []


@pytest.mark.usefixtures("on_nfs")
async def test_when_its_lease_has_ended_another_hosts_files_are_adopted(logs: Logs, tmp_path: Path) -> None:
    from_elsewhere(logs, "theirs")
    lease(logs, age=60 + 600 + 30)

    await look(logs, tmp_path / "archive")

    assert logs.messages("*.gz", below=tmp_path / "archive") == ["theirs"]
    assert logs.names("*.log") == []


@pytest.mark.usefixtures("on_nfs")
async def test_a_host_that_never_had_a_lease_is_never_guessed_dead_and_named_once(
    logs: Logs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = from_elsewhere(logs, "theirs")
    header = parse_header(path.read_bytes().splitlines(keepends=True)[0])
    assert header is not None

    await look(logs, tmp_path / "archive")

    assert path.exists()
    (told,) = [record.getMessage() for record in caplog.records if header.host in record.getMessage()]
    assert "nfs4" in told
    assert "run one there" in told


@pytest.mark.usefixtures("on_nfs")
@pytest.mark.parametrize("boot_id", ["../../escape", "x" * 5000, 7, None])
async def test_whatever_a_header_says_for_a_host_it_is_only_another_host(
    logs: Logs, tmp_path: Path, boot_id: object
) -> None:
    path = logs.dead_writer("theirs")
    header, records = path.read_bytes().split(b"\n", 1)
    path.write_bytes(json.dumps(json.loads(header) | {"boot_id": boot_id}).encode() + b"\n" + records)

    service = await look(logs, tmp_path / "archive")

    assert path.exists()
    assert (service.statistics().other_hosts, service.statistics().failed) == (1, 0)


@pytest.mark.usefixtures("on_nfs")
async def test_a_monitor_renews_its_lease_for_as_long_as_it_runs(logs: Logs, tmp_path: Path) -> None:
    own = parse_header(logs.dead_writer("mine").read_bytes().splitlines(keepends=True)[0])
    assert own is not None

    async with logs.monitor(tmp_path / "archive"):
        for _ in range(3):
            async with asyncio.timeout(10):
                while lease_age(logs, own.boot_id) > 60:
                    await asyncio.sleep(0.005)
            make_older(logs, own.boot_id)

    assert len(logs.names(".penstock-lease-*")) == 1


@pytest.mark.usefixtures("on_nfs")
async def test_on_a_shared_disk_nothing_without_a_header_is_touched(logs: Logs, tmp_path: Path) -> None:
    logs.directory.mkdir()
    names = ["shop-worker-4194311__2026-01-01.log", "shop-w.current.log"]
    for name, text in zip(names, ["older\n", ""], strict=True):
        (logs.directory / name).write_text(text)
    service = logs.monitor(tmp_path / "archive", app_name="shop")

    await service.initialize()
    await service.shutdown(drain=10)

    assert logs.names("*.log") == sorted(names)


async def test_on_a_local_disk_there_are_no_leases(logs: Logs, tmp_path: Path) -> None:
    await look(logs, tmp_path / "archive")

    assert logs.names() == []


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "apfs", "")),
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.blobfuse2", "fuse", "9p", "virtiofs", "CEPH")),
    ],
)
def test_network_file_systems_are_known_by_name(kind: str, *, shared: bool) -> None:
    assert is_shared(kind) is shared


def test_the_deepest_mount_counts_and_of_two_at_one_place_the_later(
    tmp_path: Path, mounted: Callable[[Mounts], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted({"/": "ext4", str(tmp_path): "nfs4", "/other/" + tmp_path.name: "cifs"})
    assert file_system_of(tmp_path) == "nfs4"
    assert file_system_of(tmp_path / "below") == "nfs4"
    assert file_system_of(tmp_path.parent) == "ext4"

    twice = [SimpleNamespace(mountpoint="/", fstype=kind) for kind in ("ext4", "cifs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: twice)  # noqa: A006, ARG005  # psutil's own name
    assert file_system_of(tmp_path) == "cifs"
