"""The older monitor's contract: its names, its files without a header or a lock, and what it got wrong put right."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import time
from typing import TYPE_CHECKING, Any, cast

import psutil
import pytest
from azure.storage.blob.aio import BlobServiceClient

from penstock_local_azure import Blob
from penstock_logging_monitor import Arrival, LogMonitorService, _lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Logs

GONE = 2**22 + 7  # beyond the largest process id that Linux gives
ALIVE = os.getppid()
MINUTE = 60.0

ENVIRONMENT = (
    *("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING", "LOGS_CONTAINER", "LOGS_DIR"),
    *("APP_NAME_FOR_LOGGER", "PROCESS_NAME"),
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT:
        monkeypatch.delenv(variable, raising=False)


class Archive:
    """A target in memory that notes what is done with it, and fails as often as it is told."""

    def __init__(self, *, failures: int = 0) -> None:
        self.blobs: dict[str, bytes] = {}
        self.attempts = 0
        self.opened = self.closed = 0
        self._failures = failures

    async def open(self) -> None:
        self.opened += 1

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:  # noqa: ARG002  # not looked at
        self.attempts += 1
        if self.attempts <= self._failures:
            raise ConnectionError("no route")
        content = await asyncio.to_thread(path.read_bytes)
        if name in self.blobs:
            return Arrival.SAME
        self.blobs[name] = gzip.decompress(content)
        return Arrival.CREATED

    async def close(self) -> None:
        self.closed += 1

    @property
    def texts(self) -> list[str]:
        return sorted(content.decode() for content in self.blobs.values())


def older(logs: Logs, name: str, text: str = "a line\n", *, age: float) -> Path:
    """Leave a file of the older naming that was last written so many seconds ago."""
    logs.directory.mkdir(exist_ok=True)
    path = logs.directory / name
    path.write_text(text)
    moment = time.time() - age
    os.utime(path, (moment, moment))
    return path


def locked(path: Path) -> int:
    """Hold the lock of a log file, as a living writer does; closing the descriptor is its death."""
    fd = _lock.claim(path, os.O_RDONLY)
    assert fd is not None
    return fd


def monitor(logs: Logs, target: Any, **options: Any) -> LogMonitorService:
    return logs.monitor(target, **{"app_name": "shop"} | options)


async def scan(logs: Logs, target: Any, **options: Any) -> LogMonitorService:
    """Let a monitor do all that there is to do."""
    service = monitor(logs, target, **options)
    await service.initialize()
    await service.shutdown(drain=10)
    return service


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def archived(azure: Blob, container: str) -> list[bytes]:
    async with BlobServiceClient.from_connection_string(azure.connection_string) as service:
        client = service.get_container_client(container)
        return [await (await client.download_blob(name)).readall() async for name in client.list_blob_names()]


class TestLogMonitorServiceInit:
    async def test_account_url_and_name_and_connection_string_lead_to_the_same_account(self, logs: Logs) -> None:
        async with Blob() as azure:
            ways = (
                {"account_url": azure.account_url, "credential": cast("Any", azure.account_key)},
                {"account_name": azure.account_url, "credential": cast("Any", azure.account_key)},
                {"connection_string": azure.connection_string},
            )
            for number, way in enumerate(ways):
                logs.dead_writer(f"way {number}", process=f"w{number}")
                async with LogMonitorService(logs.directory, scan_interval=0.01, **way) as service:
                    await until(lambda service=service: service.statistics().created == 1)  # type: ignore[misc]
            blobs = await archived(azure, "fla-logs")

        assert sorted(b"way" in gzip.decompress(blob) for blob in blobs) == [True, True, True]

    async def test_without_an_account_it_is_local_only(self, logs: Logs) -> None:
        logs.dead_writer("kept")

        service = await scan(logs, None)

        assert service.target is None
        assert logs.messages() == ["kept"]

    def test_custom_parameters_are_checked(self, logs: Logs) -> None:
        for wrong in ({"retention_days": 0}, {"scan_interval": -1}, {"max_disk": 0}, {"concurrency": 0}):
            (name,) = wrong
            with pytest.raises(ValueError, match=f"{name} must be"):
                LogMonitorService(logs.directory, **wrong)  # type: ignore[arg-type]

        fine = LogMonitorService(logs.directory, retention_days=0.5, scan_interval=5, max_disk=1, keep_shipped=True)
        assert not fine.running

    def test_process_name_defaults(self, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        def name_of(**arguments: str) -> str:
            return LogMonitorService(logs.directory, **arguments).process_name  # type: ignore[arg-type]

        assert name_of() == f"worker-{os.getpid()}"
        monkeypatch.setenv("PROCESS_NAME", " ")
        assert name_of() == f"worker-{os.getpid()}"
        monkeypatch.setenv("PROCESS_NAME", "checkout")
        assert name_of() == "checkout"
        assert name_of(process_name="mine") == "mine"

    def test_configuration_comes_from_the_environment_at_construction(
        self, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOGS_DIR", str(logs.directory))
        monkeypatch.setenv("APP_NAME_FOR_LOGGER", "shop")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "acct")
        monkeypatch.setenv("LOGS_CONTAINER", "box")

        service = LogMonitorService()

        assert (service.directory, service.app_name) == (logs.directory, "shop")
        assert str(service.target) == "container box"
        assert not logs.directory.exists(), "it has not begun, and has made nothing yet"


class TestLogMonitorServicePidHandling:
    @pytest.mark.parametrize("process", [f"worker-{GONE}", "checkout", f"worker-{GONE}x", "worker-"])
    async def test_only_worker_and_number_is_a_process_id(self, logs: Logs, process: str) -> None:
        older(logs, f"shop-{process}.current.log", age=11 * MINUTE)
        archive = Archive()

        async with monitor(logs, archive) as service:
            await until(lambda: archive.texts == ["a line\n"] and service.statistics().scans >= 3)

        known_to_be_dead = process == f"worker-{GONE}"
        assert logs.names() == ([] if known_to_be_dead else [f"shop-{process}.current.log"])

    async def test_a_living_process_keeps_its_files(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{ALIVE}.current.log", age=60 * MINUTE)
        older(logs, f"shop-worker-{ALIVE}.current.log".replace(".current", "__2026-01-01"), age=0)
        archive = Archive()

        await scan(logs, archive)

        assert archive.blobs == {}
        assert len(logs.names()) == 2

    async def test_a_process_that_only_reuses_the_id_of_a_rotated_files_writer_does_not_keep_it(
        self, logs: Logs
    ) -> None:
        began = time.time() - psutil.Process(ALIVE).create_time()
        older(logs, f"shop-worker-{ALIVE}__2026-01-01.log", age=began + MINUTE)
        archive = Archive()

        await scan(logs, archive)

        assert archive.texts == ["a line\n"]
        assert logs.names() == []

    async def test_where_processes_cannot_be_seen_nothing_is_taken_away(
        self, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(pid: int) -> bool:
            raise psutil.AccessDenied(pid)

        monkeypatch.setattr(psutil, "pid_exists", refuse)
        older(logs, f"shop-worker-{GONE}.current.log", age=60 * MINUTE)
        logs.dead_writer("told by its lock")
        archive = Archive()

        await scan(logs, archive)

        assert ["told by its lock" in text for text in archive.texts] == [True]
        assert logs.names() == [f"shop-worker-{GONE}.current.log"]


class TestLogMonitorServiceInitialize:
    async def test_initialize_twice_is_one_monitor(self, logs: Logs) -> None:
        archive = Archive()
        service = monitor(logs, archive)

        await service.initialize()
        await service.initialize()

        assert (service.running, archive.opened) == (True, 1)
        await service.shutdown()
        assert (service.running, archive.closed) == (False, 1)

    async def test_initialize_with_blob_storage_success(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{GONE}__2026-01-01.log", "2026-01-01 sold\n", age=0)
        async with Blob() as azure:
            service = LogMonitorService(
                logs.directory, connection_string=azure.connection_string, app_name="shop", scan_interval=0.01
            )
            await service.initialize()
            await service.shutdown(drain=10)
            blobs = await archived(azure, "fla-logs")

        assert [gzip.decompress(blob) for blob in blobs] == [b"2026-01-01 sold\n"]
        assert logs.names() == []

    async def test_initialize_without_blob_storage_makes_the_directory_and_runs(self, logs: Logs) -> None:
        async with LogMonitorService(logs.directory) as service:
            assert service.running
            assert logs.directory.is_dir()

    async def test_initialize_fails_where_the_directory_cannot_be_made_and_can_be_repeated(self, logs: Logs) -> None:
        logs.directory.write_text("in the way")
        service = monitor(logs, Archive())
        with pytest.raises(OSError, match="exists"):
            await service.initialize()
        assert not service.running

        logs.directory.unlink()
        await service.initialize()

        assert service.running
        await service.shutdown()


class TestLogMonitorServiceScanForRotatedLogs:
    async def test_scan_takes_the_name_apart_into_a_place(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)
        archive = Archive()

        await scan(logs, archive)

        (name,) = archive.blobs
        folder, _, file = name.rpartition("/")
        assert folder == f"app=shop/date=2026-01-31/host={socket.gethostname()}/process=worker-{GONE}"
        assert file.startswith("older-")
        assert file.endswith(".log.gz")

    @pytest.mark.parametrize(("age", "ships"), [(25.0, False), (35.0, True)])
    async def test_scan_takes_its_own_rotated_file_when_it_is_30_seconds_old(
        self, logs: Logs, age: float, *, ships: bool
    ) -> None:
        older(logs, "shop-me__2026-01-31.log", age=age)
        archive = Archive()

        await scan(logs, archive, process_name="me")

        assert archive.texts == (["a line\n"] if ships else [])
        assert logs.names() == ([] if ships else ["shop-me__2026-01-31.log"])

    async def test_scan_needs_no_memory_of_what_it_has_processed(self, logs: Logs) -> None:
        archive = Archive()
        older(logs, "shop-me__2026-01-31.log", "first\n", age=MINUTE)
        await scan(logs, archive, process_name="me")
        older(logs, "shop-me__2026-01-31.log", "first\n", age=MINUTE)  # as if a monitor died before it removed it
        again = await scan(logs, archive, process_name="me")
        older(logs, "shop-me__2026-01-31.log", "second\n", age=MINUTE)  # another file of the same name
        await scan(logs, archive, process_name="me")

        assert again.statistics().same == 1
        assert archive.texts == ["first\n", "second\n"]

    async def test_scan_outlives_a_directory_that_is_gone_for_a_while(self, logs: Logs) -> None:
        archive = Archive()
        async with monitor(logs, archive, process_name="me") as service:
            logs.directory.rmdir()
            seen = service.statistics().scans
            await until(lambda: service.statistics().scans >= seen + 2)
            older(logs, "shop-me__2026-01-31.log", age=MINUTE)
            await until(lambda: len(archive.blobs) == 1)

        assert archive.texts == ["a line\n"]

    async def test_scan_keeps_a_file_whose_upload_fails_and_tries_again(self, logs: Logs) -> None:
        older(logs, "shop-me__2026-01-31.log", age=MINUTE)
        archive = Archive(failures=1)

        service = await scan(logs, archive, process_name="me")

        assert (service.statistics().failed, service.statistics().created) == (1, 1)
        assert archive.texts == ["a line\n"]
        assert logs.names() == []

    async def test_scan_leaves_what_is_not_named_like_a_log_of_the_application(self, logs: Logs) -> None:
        names = ["shop-me__yesterday.log", "nginx.log", "me__2026-01-31.log", "shop-me__2026-01-31.txt", "shop-.log"]
        for name in names:
            older(logs, name, age=60 * MINUTE)
        archive = Archive()

        await scan(logs, archive, process_name="me")

        assert archive.blobs == {}
        assert logs.names() == sorted(names)


class TestLogMonitorServiceOrphanDetection:
    async def test_scan_orphaned_logs_dead_process_current_log(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{GONE}.current.log", "last words\n", age=10 * MINUTE + 5)
        archive = Archive()

        await scan(logs, archive)

        assert archive.texts == ["last words\n"]
        assert logs.names() == []

    async def test_a_dead_processs_current_log_waits_until_it_is_10_minutes_old(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{GONE}.current.log", age=10 * MINUTE - 30)
        archive = Archive()

        await scan(logs, archive)

        assert archive.blobs == {}
        assert logs.names() == [f"shop-worker-{GONE}.current.log"]

    async def test_a_dead_processs_rotated_log_is_taken_at_once(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)
        archive = Archive()

        await scan(logs, archive)

        assert archive.texts == ["a line\n"]
        assert logs.names() == []

    async def test_a_current_log_without_a_process_id_is_copied_and_never_deleted(self, logs: Logs) -> None:
        path = older(logs, "shop-checkout.current.log", "one\n", age=11 * MINUTE)
        archive = Archive()
        async with monitor(logs, archive) as service:
            await until(lambda: service.statistics().copied == 1)
            seen = service.statistics().scans
            await until(lambda: service.statistics().scans >= seen + 3)
            assert archive.attempts == 1, "what was copied is not copied again"

            older(logs, path.name, "one\ntwo\n", age=11 * MINUTE)  # its writer lived after all
            await until(lambda: service.statistics().copied == 2)

        assert archive.texts == ["one\n", "one\ntwo\n"]
        assert path.read_text() == "one\ntwo\n"

    async def test_a_monitor_that_starts_again_makes_no_second_copy(self, logs: Logs) -> None:
        older(logs, "shop-checkout.current.log", age=11 * MINUTE)
        archive = Archive()

        await scan(logs, archive)
        await scan(logs, archive)

        assert archive.texts == ["a line\n"]

    async def test_only_logs_of_the_same_application_are_taken(self, logs: Logs) -> None:
        others = [
            f"{app}-worker-{GONE}{kind}.log" for app in ("till", "shop-eu") for kind in (".current", "__2026-01-31")
        ]
        for name in others:
            older(logs, name, age=60 * MINUTE)
        archive = Archive()

        service = await scan(logs, archive)

        assert archive.blobs == {}
        assert (logs.names(), service.statistics().foreign) == (sorted(others), 4)

    async def test_an_empty_log_that_nobody_has_locked_is_removed_but_not_under_a_living_process(
        self, logs: Logs
    ) -> None:
        ages = {
            f"shop-worker-{GONE}": 0,
            "shop-checkout": MINUTE,
            "shop-begins-now": 0,
            f"shop-worker-{ALIVE}": 60 * MINUTE,
            f"till-worker-{ALIVE}": 60 * MINUTE,
        }
        for process, age in ages.items():
            older(logs, f"{process}.current.log", "", age=age)
        archive = Archive()

        service = await scan(logs, archive)

        assert archive.blobs == {}
        kept = ("shop-begins-now", f"shop-worker-{ALIVE}", f"till-worker-{ALIVE}")
        assert logs.names() == [f"{process}.current.log" for process in kept]
        assert service.statistics().removed == 2


class TestLogMonitorServiceMonitorLoop:
    async def test_monitor_loop_looks_again_and_again(self, logs: Logs) -> None:
        archive = Archive()
        async with monitor(logs, archive):
            for number in range(3):
                older(logs, f"shop-worker-{GONE}__2026-01-0{number + 1}.log", f"{number}\n", age=0)
                await until(lambda number=number: len(archive.blobs) == number + 1)  # type: ignore[misc]

        assert archive.texts == ["0\n", "1\n", "2\n"]

    async def test_monitor_loop_ends_at_once_when_it_is_told_to_during_its_rest(self, logs: Logs) -> None:
        service = LogMonitorService(logs.directory, target=Archive(), scan_interval=3600)
        await service.initialize()
        await until(lambda: service.statistics().scans == 1)

        async with asyncio.timeout(10):
            assert await service.shutdown() == []

    async def test_monitor_loop_exception_handling(
        self, logs: Logs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        really_scan, broken = os.scandir, True

        def scandir(path: Any) -> Any:
            if broken and os.fspath(path) == str(logs.directory):
                raise RuntimeError("CANARY")
            return really_scan(path)

        monkeypatch.setattr(os, "scandir", scandir)
        archive = Archive()
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)
        async with monitor(logs, archive) as service:
            await until(lambda: "cannot look after the log files" in caplog.text)
            assert (service.running, archive.blobs) == (True, {})

            broken = False
            await until(lambda: archive.texts == ["a line\n"])

        assert caplog.text.count("cannot look after") == 1
        assert "CANARY" not in caplog.text

    async def test_monitor_loop_is_not_held_up_by_a_slow_upload(self, logs: Logs) -> None:
        class Stalling(Archive):
            async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
                if "2026-01-01" in name:
                    await asyncio.Event().wait()
                return await super().put(path, name, metadata)

        archive = Stalling()
        older(logs, f"shop-worker-{GONE}__2026-01-01.log", "stalled\n", age=0)
        service = monitor(logs, archive)
        await service.initialize()
        for number in range(2, 5):
            older(logs, f"shop-worker-{GONE}__2026-01-0{number}.log", f"{number}\n", age=0)
            await until(lambda number=number: len(archive.blobs) == number - 1)  # type: ignore[misc]

        await until(lambda: service.statistics().waiting == 1)
        seen = service.statistics()
        staying = await service.shutdown(drain=0.05)

        assert (seen.live, seen.oldest_unshipped_age(time.time()) > 0) == (0, True)
        assert archive.texts == ["2\n", "3\n", "4\n"]
        assert staying == [f"shop-worker-{GONE}__2026-01-01.log"]

    async def test_monitor_loop_rests_between_looks(self, logs: Logs) -> None:
        async with LogMonitorService(logs.directory, target=Archive(), scan_interval=3600) as service:
            await until(lambda: service.statistics().scans == 1)
            older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)
            await asyncio.sleep(0.2)

            assert service.statistics().scans == 1


class TestLogMonitorServiceShutdown:
    async def test_shutdown_complete_workflow(self, logs: Logs) -> None:
        archive = Archive()
        service = monitor(logs, archive)
        await service.initialize()
        await until(lambda: service.statistics().scans >= 1)
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", "rotated\n", age=0)
        logs.dead_writer("killed")
        writer = locked(logs.dead_writer("alive until the end", process="alive"))

        stopping = asyncio.create_task(service.shutdown(drain=30))
        await until(lambda: len(archive.blobs) == 2)
        seen = service.statistics().scans
        await until(lambda: service.statistics().scans >= seen + 5)
        assert not stopping.done(), "a writer lives"
        os.close(writer)

        assert await stopping == []
        assert len(archive.texts) == 3
        assert (service.running, archive.closed) == (False, 1)

    async def test_shutdown_makes_a_last_scan(self, logs: Logs) -> None:
        archive = Archive()
        service = LogMonitorService(logs.directory, target=archive, app_name="shop", scan_interval=3600)
        await service.initialize()
        await until(lambda: service.statistics().scans == 1)
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)

        assert await service.shutdown() == []

        assert archive.texts == ["a line\n"]

    async def test_shutdown_closes_the_archive_after_the_last_upload(self, logs: Logs) -> None:
        class Strict(Archive):
            async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
                assert not self.closed
                return await super().put(path, name, metadata)

        archive = Strict()
        for number in range(10):
            older(logs, f"shop-worker-{GONE + number}__2026-01-31.log", f"{number}\n", age=0)

        service = await scan(logs, archive)

        assert (service.statistics().failed, archive.closed, len(archive.blobs)) == (0, 1, 10)

    async def test_shutdown_whose_archive_fails_ends_in_time_and_keeps_the_files(self, logs: Logs) -> None:
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)
        archive = Archive(failures=1000)
        service = monitor(logs, archive)
        await service.initialize()

        async with asyncio.timeout(10):
            staying = await service.shutdown(drain=0.2)

        assert staying == [f"shop-worker-{GONE}__2026-01-31.log"]
        assert archive.closed == 1

    async def test_shutdown_that_is_cancelled_still_lets_go_of_everything(self, logs: Logs) -> None:
        archive = Archive()
        service = monitor(logs, archive)
        await service.initialize()
        writer = locked(logs.dead_writer("alive", process="alive"))
        stopping = asyncio.create_task(service.shutdown(drain=3600))
        await until(lambda: service.statistics().live == 1)

        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        os.close(writer)

        assert (service.running, archive.closed) == (False, 1)

    async def test_shutdown_can_be_repeated(self, logs: Logs) -> None:
        archive = Archive()
        service = monitor(logs, archive)
        await service.initialize()

        assert await service.shutdown() == []
        assert await service.shutdown() == []

        assert archive.closed == 1

    async def test_shutdown_of_what_never_ran_does_nothing(self, logs: Logs) -> None:
        archive = Archive()

        assert await monitor(logs, archive).shutdown() == []

        assert (archive.opened, archive.closed) == (0, 0)
        assert not logs.directory.exists()

    async def test_after_a_shutdown_it_can_be_started_again(self, logs: Logs) -> None:
        archive = Archive()
        service = monitor(logs, archive)
        await service.initialize()
        await service.shutdown()
        older(logs, f"shop-worker-{GONE}__2026-01-31.log", age=0)

        await service.initialize()
        await service.shutdown(drain=10)

        assert archive.texts == ["a line\n"]
        assert (archive.opened, archive.closed) == (2, 2)
