"""What the monitor does with a directory of log files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from penstock_logging_monitor import Arrival, LogMonitorService, configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Logs

NO_ACCOUNT = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING", "LOGS_CONTAINER", "LOGS_DIR")


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in NO_ACCOUNT:
        monkeypatch.delenv(variable, raising=False)


class Archive:
    """A target in memory that notes what it is given, and fails as often as it is told."""

    def __init__(self, *, failures: int = 0, error: Exception | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.metadata: dict[str, Mapping[str, str]] = {}
        self.attempts = 0
        self._failures = failures
        self._error = error or ConnectionError("no route")

    async def open(self) -> None:
        pass

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
        self.attempts += 1
        if self.attempts <= self._failures:
            raise self._error
        self.blobs[name] = await asyncio.to_thread(path.read_bytes)
        self.metadata[name] = metadata
        return Arrival.CREATED

    async def close(self) -> None:
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_closed_file_moves_to_the_place_that_its_header_fixes(logs: Logs, tmp_path: Path) -> None:
    handler = logs.writer("w")
    logs.say(handler, "one", "two")
    header = handler.header
    handler.close()

    service = await logs.drain(tmp_path / "archive")

    (blob,) = (tmp_path / "archive").rglob("*.gz")
    folder = f"app=shop/date=2026-03-01/host={header.host}/process=w"
    assert blob.relative_to(tmp_path / "archive").parent.as_posix() == folder
    assert blob.name.startswith("120000-")
    assert blob.name.endswith("-0.log.gz")
    assert [line.get("message", line.get("schema")) for line in logs.lines(blob)] == ["penstock-log/1", "one", "two"]
    assert logs.names() == []
    assert (service.statistics().created, service.statistics().shipped) == (1, 1)


async def test_archived_files_may_be_read_by_whom_the_umask_lets(logs: Logs, tmp_path: Path) -> None:
    logs.dead_writer("a line")
    ours = tmp_path / "ours"
    ours.touch()

    await logs.drain(tmp_path / "archive")

    (blob,) = (tmp_path / "archive").rglob("*.gz")
    assert blob.stat().st_mode == ours.stat().st_mode


async def test_a_dead_writers_file_is_adopted(logs: Logs, tmp_path: Path) -> None:
    logs.dead_writer("last words")

    service = await logs.drain(tmp_path / "archive")

    assert logs.messages("*.gz", below=tmp_path / "archive") == ["last words"]
    assert service.statistics().adopted == 1


async def test_a_torn_last_line_is_shipped_as_it_is_and_said_to_be_torn(logs: Logs) -> None:
    logs.dead_writer("whole", torn=b'{"ts":"2026-')
    archive = Archive()

    await logs.drain(archive, compress="none")

    ((name, content),) = archive.blobs.items()
    assert content.endswith(b'\n{"ts":"2026-')
    assert archive.metadata[name]["torn"] == "1"
    assert archive.metadata[name]["lines"] == "1"


async def test_the_archive_is_told_hash_length_and_lines_of_the_log_itself(logs: Logs) -> None:
    path = logs.dead_writer("one", "two", "three")
    content = path.read_bytes()
    archive = Archive()

    await logs.drain(archive)

    ((_, metadata),) = archive.metadata.items()
    assert metadata == {
        "raw_sha256": hashlib.sha256(content).hexdigest(),
        "raw_length": str(len(content)),
        "lines": "3",
    }


async def test_a_living_writers_file_is_left_alone(logs: Logs, tmp_path: Path) -> None:
    handler = logs.writer("w")
    logs.say(handler, "alive")

    async with logs.monitor(tmp_path / "archive") as service:
        await until(lambda: service.statistics().scans >= 3)
        logs.say(handler, "still alive")

    assert logs.messages("*.current.log") == ["alive", "still alive"]
    assert list((tmp_path / "archive").rglob("*.gz")) == []


async def test_files_without_records_are_removed_and_not_shipped(logs: Logs) -> None:
    logs.dead_writer(process="idle")
    (logs.directory / "shop-newborn.current.log").touch()
    archive = Archive()

    service = await logs.drain(archive)

    assert (logs.names(), archive.blobs) == ([], {})
    assert service.statistics().removed == 2


async def test_what_is_not_ours_is_counted_and_left_alone(logs: Logs) -> None:
    logs.directory.mkdir()
    others = {
        "shop-worker-7__2025-12-31.log": "2025-12-31 the older naming\n",
        "shop-worker-7.current.log": "2025-12-31 the older naming\n",
        "nginx.log": "",
        "notes.txt": "not a log",
    }
    for name, text in others.items():
        (logs.directory / name).write_text(text)
    (logs.directory / "link.log").symlink_to(logs.directory / "notes.txt")
    (logs.directory / "folder.log").mkdir()

    service = await logs.drain(Archive())

    assert {name: (logs.directory / name).read_text() for name in others} == others
    assert service.statistics().foreign == 3


async def test_the_header_decides_the_app_never_the_file_name(logs: Logs) -> None:
    path = logs.dead_writer("mine")
    path.rename(path.with_name("billing-night__2020-01-01.log"))
    archive = Archive()

    await logs.drain(archive)

    (name,) = archive.blobs
    assert name.startswith("app=shop/date=2026-03-01/")


async def test_an_upload_whose_end_nobody_saw_is_recognized(logs: Logs, tmp_path: Path) -> None:
    path = logs.dead_writer("once")
    copy = path.read_bytes()
    await logs.drain(tmp_path / "archive")
    path.write_bytes(copy)  # as if the monitor had died between upload and removal

    service = await logs.drain(tmp_path / "archive")

    assert service.statistics().same == 1
    assert logs.messages("*.gz", below=tmp_path / "archive") == ["once"]
    assert logs.names() == []


async def test_a_log_that_another_zlib_packed_is_recognized_by_what_was_logged(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = logs.dead_writer("once")
    copy = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("penstock_logging_monitor._staging._LEVEL", 0)
        await logs.drain(tmp_path / "archive")
    path.write_bytes(copy)

    service = await logs.drain(tmp_path / "archive")

    assert service.statistics().same == 1
    assert logs.messages("*.gz", below=tmp_path / "archive") == ["once"]


async def test_a_damaged_file_in_the_archive_is_kept_and_ours_put_beside_it(logs: Logs, tmp_path: Path) -> None:
    path = logs.dead_writer("once")
    copy = path.read_bytes()
    await logs.drain(tmp_path / "archive")
    (blob,) = (tmp_path / "archive").rglob("*.gz")
    blob.write_bytes(blob.read_bytes()[:30])
    path.write_bytes(copy)

    service = await logs.drain(tmp_path / "archive")

    assert service.statistics().conflicts == 1
    assert logs.messages("*.conflict-*.gz", below=tmp_path / "archive") == ["once"]
    assert len(blob.read_bytes()) == 30


async def test_other_content_under_the_name_is_kept_and_ours_put_beside_it(logs: Logs, tmp_path: Path) -> None:
    path = logs.dead_writer("original")
    header = path.read_bytes().split(b"\n")[0]
    await logs.drain(tmp_path / "archive")
    path.write_bytes(header + b"\n" + json.dumps({"message": "forged"}).encode() + b"\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    service = await logs.drain(tmp_path / "archive")

    assert service.statistics().conflicts == 1
    assert logs.messages(f"*.conflict-{digest[:8]}.log.gz", below=tmp_path / "archive") == ["forged"]
    assert sorted(logs.messages("*.gz", below=tmp_path / "archive")) == ["forged", "original"]


async def test_copies_of_one_dead_file_never_replace_each_other(logs: Logs, tmp_path: Path) -> None:
    path = logs.dead_writer("original")
    header = path.read_bytes().split(b"\n")[0]
    for number in range(3):
        copy = path.with_name(f"copy-{number}.current.log")
        copy.write_bytes(header + b"\n" + json.dumps({"message": f"copy {number}"}).encode() + b"\n")

    await logs.drain(tmp_path / "archive")

    archived = logs.messages("*.gz", below=tmp_path / "archive")
    assert sorted(archived) == ["copy 0", "copy 1", "copy 2", "original"]


async def test_a_failed_upload_keeps_the_file_and_is_tried_again(logs: Logs, caplog: pytest.LogCaptureFixture) -> None:
    logs.dead_writer("patient")
    archive = Archive(failures=1)

    service = await logs.drain(archive)

    assert archive.attempts == 2
    assert (service.statistics().failed, service.statistics().created) == (1, 1)
    assert logs.names() == []
    assert caplog.text.count("will try again: ConnectionError: no route") == 1


async def test_one_bad_file_holds_up_no_other(logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = logs.dead_writer("bad", process="bad")
    for number in range(5):
        logs.dead_writer(f"good {number}", process=f"good-{number}")
    really_open = os.open

    def refuse(path: os.PathLike[str], *args: Any, **kwargs: Any) -> int:
        if os.fspath(path) == str(bad):
            raise PermissionError(13, "Permission denied", str(bad))
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    service = logs.monitor(tmp_path / "archive", concurrency=1)
    await service.initialize()
    await until(lambda: service.statistics().created == 5)

    assert await service.shutdown(drain=0.05) == [bad.name]


async def test_an_error_of_unknown_make_is_named_but_not_quoted(logs: Logs, caplog: pytest.LogCaptureFixture) -> None:
    logs.dead_writer("patient")

    await logs.drain(Archive(failures=1, error=RuntimeError("https://account/?sig=CANARY")))

    assert "RuntimeError" in caplog.text
    assert "CANARY" not in caplog.text


async def test_without_an_archive_dead_files_are_closed_and_stay(logs: Logs) -> None:
    logs.dead_writer("kept")

    service = await logs.drain(None)

    assert service.target is None
    assert logs.messages("*__2026-03-01.*.log") == ["kept"]
    assert (service.statistics().adopted, service.statistics().kept) == (1, 1)


async def test_several_monitors_ship_every_file_once(logs: Logs, tmp_path: Path) -> None:
    handler = logs.writer("w", max_bytes=500)
    messages = [f"record {number}" for number in range(200)]
    logs.say(handler, *messages)
    handler.close()

    services = await asyncio.gather(*(logs.drain(tmp_path / "archive") for _ in range(3)))

    assert sorted(logs.messages("*.gz", below=tmp_path / "archive")) == sorted(messages)
    assert sum(service.statistics().conflicts for service in services) == 0


async def test_shutdown_ends_by_its_deadline_and_names_what_stays(logs: Logs) -> None:
    class Silent(Archive):
        async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:  # noqa: ARG002  # silent
            self.attempts += 1
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    logs.dead_writer("left over")
    archive = Silent()
    service = logs.monitor(archive)
    await service.initialize()
    await until(lambda: archive.attempts == 1)

    (staying,) = await service.shutdown(drain=0.05)

    assert logs.names() == [staying]
    assert logs.messages(staying) == ["left over"]


async def test_shutdown_waits_for_no_huge_file_to_be_compressed(logs: Logs, tmp_path: Path) -> None:
    huge = logs.dead_writer("huge")
    os.truncate(huge, 8 * 1024**3)  # takes half a minute and more to compress
    service = logs.monitor(tmp_path / "archive")
    await service.initialize()
    await until(lambda: logs.names("*.part") != [])

    async with asyncio.timeout(10):
        (staying,) = await service.shutdown(drain=0)

    assert logs.names() == [staying]
    assert (logs.directory / staying).stat().st_size == 8 * 1024**3


@pytest.mark.usefixtures("fresh_root")
async def test_shutdown_ships_its_own_processs_log_and_does_not_wait_for_itself(logs: Logs) -> None:
    class Talkative(Archive):
        async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
            logging.getLogger("shop").info("while it is shipped")
            return await super().put(path, name, metadata)

    configure_logging(logs_dir=logs.directory, app="shop", process="both", console=False)
    archive = Talkative()
    service = logs.monitor(archive, compress="none")
    await service.initialize()
    logging.getLogger("shop").info("before the end")

    async with asyncio.timeout(10):
        staying = await service.shutdown(drain=60)

    (content,) = archive.blobs.values()
    assert b"before the end" in content
    assert logs.messages(*staying) == ["while it is shipped"]


async def test_shutdown_without_initialize_and_twice_is_harmless(logs: Logs) -> None:
    service = LogMonitorService(logs.directory)

    assert await service.shutdown() == []
    await service.initialize()
    await service.initialize()
    assert await service.shutdown(drain=5) == []
    assert await service.shutdown() == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"target": "/archive", "account_url": "acct"}, "target and account_url each say"),
        ({"account_name": "acct", "account_url": "https://acct.example"}, "account_name and account_url each say"),
        ({"account_name": "acct", "connection_string": "x"}, "account_name and connection_string each say"),
        ({"compress": "rar"}, "compress must be 'gzip' or 'none', not 'rar'"),
        ({"scan_interval": 0}, "scan_interval must be more than 0 seconds, not 0"),
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"account_name": "acct", "container_name": "Not A Container"}, "container_name"),
    ],
)
def test_contradictions_and_mistakes_are_refused_at_once(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LogMonitorService("logs", **arguments)


def test_the_account_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "acct")
    assert str(LogMonitorService("logs").target) == "container fla-logs"

    monkeypatch.setenv("LOGS_CONTAINER", "archive")
    assert str(LogMonitorService("logs").target) == "container archive"
    assert str(LogMonitorService("logs", container_name="mine").target) == "container mine"


@pytest.mark.parametrize("blank", [None, "", " "])
def test_without_any_account_the_monitor_is_local(monkeypatch: pytest.MonkeyPatch, blank: str | None) -> None:
    if blank is not None:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", blank)

    assert LogMonitorService("logs").target is None
