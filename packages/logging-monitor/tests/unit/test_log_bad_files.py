"""Files and archives that are not as they should be: told once, with a remedy, and nothing else suffers."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from penstock_logging_monitor import Arrival, LogMonitorError, NameTakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Logs


class Archive:
    """A target in memory that refuses what it is told to, with the error that it is told."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.attempts = 0
        self.refuses: Callable[[str], Exception | None] = lambda name: None  # noqa: ARG005  # it refuses none

    async def open(self) -> None:
        pass

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:  # noqa: ARG002  # not looked at
        self.attempts += 1
        error = self.refuses(name)
        if error:
            raise error
        self.blobs[name] = gzip.decompress(await asyncio.to_thread(path.read_bytes))
        return Arrival.CREATED

    async def close(self) -> None:
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("penstock_logging_monitor")]


@pytest.fixture
def good(logs: Logs) -> None:
    """A file that must arrive, whatever is wrong with others."""
    logs.dead_writer("good", process="good")


def good_arrived(archive: Archive) -> bool:
    return any(b'"good"' in content.splitlines()[-1] for content in archive.blobs.values())


DAMAGED_HEADERS = {
    "half-written": b'{"schema":"penstock-log/1","app":"shop","proc',
    "first bytes": b'{"sche',
    "no json": b'{"schema":"penstock-log/1","app":\x00\x00}\n{"message":"a line"}\n',
    "a field missing": b'{"schema":"penstock-log/1","app":"shop"}\n{"message":"a line"}\n',
    "beyond the calendar": b'{"schema":"penstock-log/1","app":"a","process":"p","host":"h","start_ns":1,'
    b'"opened_ns":99999999999999999999999999999999,"seq":0}\n{"message":"a line"}\n',
    "before time": b'{"schema":"penstock-log/1","app":"a","process":"p","host":"h","start_ns":-1,"opened_ns":1,'
    b'"seq":0}\n{"message":"a line"}\n',
}


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("content", DAMAGED_HEADERS.values(), ids=DAMAGED_HEADERS.keys())
@pytest.mark.parametrize("shipping", [True, False], ids=["archive", "local"])
async def test_a_file_with_a_damaged_header_is_put_aside_with_the_reason(
    logs: Logs, caplog: pytest.LogCaptureFixture, content: bytes, *, shipping: bool
) -> None:
    (logs.directory / "shop-w9.current.log").write_bytes(content)
    archive = Archive()

    service = await logs.drain(archive if shipping else None)

    aside = logs.directory / "quarantine" / "shop-w9.current.log"
    assert aside.read_bytes() == content
    reason = aside.with_name(aside.name + ".reason.txt").read_text()
    assert "header is" in reason
    assert "move it back" in reason
    assert service.statistics().quarantined == 1
    assert sum("shop-w9.current.log" in text for text in told(caplog)) == 1
    assert good_arrived(archive) or not shipping


@pytest.mark.usefixtures("good")
async def test_a_file_of_a_newer_format_is_left_for_a_newer_monitor(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    newer = logs.directory / "shop-w9.current.log"
    newer.write_bytes(b'{"schema":"penstock-log/2","who":"shop"}\n{"message":"a line"}\n')
    archive = Archive()

    service = await logs.drain(archive)

    assert newer.exists()
    assert service.statistics().foreign == 1
    (text,) = told(caplog)
    assert "upgrade this monitor" in text
    assert good_arrived(archive)


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    "name",
    ["a.log", ".log", "new\nline.log", "caf\udce9.log", "x" * 251 + ".log", "-rf.log", "a__2026-01-01.log", "*.log"],
)
async def test_foreign_files_stay_as_they_are_under_whatever_name(logs: Logs, name: str) -> None:
    foreign = logs.directory / name
    foreign.write_bytes(b"\xff\x00 no log of ours")
    archive = Archive()

    service = await logs.drain(archive)

    assert foreign.read_bytes() == b"\xff\x00 no log of ours"
    assert service.statistics().foreign == 1
    assert good_arrived(archive)


@pytest.mark.parametrize(
    "text", ["..", "a/b/../c", "ends with dots..", "", " ", "a\\b", "\n\t", "é\udcff", "?#%", "x" * 500]
)
async def test_whatever_app_process_and_host_are_called_the_name_in_the_archive_is_sound(
    logs: Logs, tmp_path: Path, text: str
) -> None:
    path = logs.dead_writer("a line")
    header, records = path.read_bytes().split(b"\n", 1)
    facts = json.loads(header) | {"app": text, "process": text, "host": text}
    path.write_bytes(json.dumps(facts).encode() + b"\n" + records)

    await logs.drain(tmp_path / "archive")

    (blob,) = (tmp_path / "archive").rglob("*.gz")
    segments = blob.relative_to(tmp_path / "archive").parts
    assert [segment.partition("=")[0] for segment in segments[:-1]] == ["app", "date", "host", "process"]
    assert all(segment.isascii() and segment.isprintable() and not segment.endswith(".") for segment in segments)
    assert logs.names() == []


@pytest.mark.usefixtures("good")
async def test_a_file_that_may_not_be_opened_is_told_once_and_delays_no_stop(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = logs.dead_writer("theirs", process="theirs")
    really_open = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if os.fspath(path) == str(theirs):
            raise PermissionError(13, "Permission denied", str(theirs))
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    archive = Archive()
    async with asyncio.timeout(10):
        service = await logs.drain(archive, seconds=3600)

    assert theirs.exists()
    assert service.statistics().unreadable == 1
    assert service.statistics().scans >= 2
    (text,) = told(caplog)
    assert "run the monitor as the user who writes there" in text
    assert good_arrived(archive)


async def test_an_archive_that_refuses_everything_is_told_once_and_rested_as_a_whole(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        logs.dead_writer(str(number), process=f"w{number}")
    archive = Archive()
    archive.refuses = lambda _: LogMonitorError("HTTP 403: give it the role to write", environment=True)
    service = logs.monitor(archive, concurrency=4)
    await service.initialize()
    await until(lambda: service.statistics().scans >= 5)

    (text,) = told(caplog)
    assert "give it the role to write" in text
    assert 1 <= archive.attempts <= 8, "each file was tried, though the archive takes none"
    assert service.statistics().waiting == 30

    archive.refuses = lambda _: None
    await service.shutdown(drain=20)
    assert len(archive.blobs) == 30
    assert told(caplog)[1:] == ["the archive takes files again"]


async def test_at_the_stop_everything_is_tried_again_at_once(logs: Logs) -> None:
    logs.dead_writer("0", process="w0")
    archive = Archive()
    archive.refuses = lambda _: LogMonitorError("HTTP 503", environment=True, retry_after=3600.0)
    service = logs.monitor(archive)
    await service.initialize()
    await until(lambda: service.statistics().failed == 1)
    seen = service.statistics().scans
    await until(lambda: service.statistics().scans >= seen + 3)
    assert archive.attempts == 1

    archive.refuses = lambda _: None
    assert await service.shutdown(drain=20) == []

    assert len(archive.blobs) == 1


async def test_an_archive_that_refuses_for_good_whatever_it_is_given_is_no_reason_to_put_files_aside(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_logging_monitor._patience._FIRST", 0.001)
    for number in range(3):
        logs.dead_writer(str(number), process=f"w{number}")
    archive = Archive()
    archive.refuses = lambda _: LogMonitorError("HTTP 400", permanent=True)
    service = logs.monitor(archive)
    await service.initialize()
    await until(lambda: archive.attempts >= 15)
    await service.shutdown(drain=0)

    assert service.statistics().quarantined == 0
    assert len(logs.names("*.log")) == 3


async def test_a_file_that_is_refused_for_good_while_others_arrive_is_put_aside(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("penstock_logging_monitor._patience._FIRST", 0.001)
    logs.dead_writer("poison", process="poison")
    archive = Archive()
    archive.refuses = lambda name: LogMonitorError("HTTP 400", permanent=True) if "poison" in name else None
    service = logs.monitor(archive)
    await service.initialize()
    await until(lambda: archive.attempts >= 3)
    logs.dead_writer("good", process="good")
    await until(lambda: service.statistics().quarantined == 1)
    assert await service.shutdown(drain=10) == []

    (aside,) = (logs.directory / "quarantine").glob("*.log")
    assert logs.messages(aside.name, below=aside.parent) == ["poison"]
    assert "HTTP 400" in aside.with_name(aside.name + ".reason.txt").read_text()
    assert sum("put aside" in text for text in told(caplog)) == 1
    assert good_arrived(archive)


async def test_a_file_that_is_refused_for_good_delays_no_stop(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_logging_monitor._patience._LONGEST", 0.001)
    logs.dead_writer("poison", process="poison")
    archive = Archive()
    archive.refuses = lambda name: LogMonitorError("HTTP 400", permanent=True) if "poison" in name else None
    async with asyncio.timeout(60):
        service = await logs.drain(archive, seconds=3600)

    assert archive.attempts == 3, "it is tried before it is given up"
    assert logs.messages() == ["poison"]
    assert (service.statistics().waiting, service.statistics().refused) == (1, 1)


async def test_a_monitor_that_is_started_again_tries_again_what_was_refused(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_logging_monitor._patience._LONGEST", 0.001)
    logs.dead_writer("poison")
    archive = Archive()
    archive.refuses = lambda _: LogMonitorError("HTTP 400", permanent=True)
    service = await logs.drain(archive, seconds=3600)
    assert service.statistics().refused == 1

    archive.refuses = lambda _: None
    await service.initialize()
    await until(lambda: service.statistics().created == 1)
    await service.shutdown(drain=0)

    assert logs.names() == []


async def test_a_file_that_fails_otherwise_is_waited_for(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_logging_monitor._patience._LONGEST", 0.001)
    logs.dead_writer("unlucky")
    archive = Archive()
    archive.refuses = lambda _: LogMonitorError("HTTP 400", permanent=True)
    service = logs.monitor(archive)
    await service.initialize()
    await until(lambda: service.statistics().refused == 1)
    archive.refuses = lambda _: LogMonitorError("broken off")
    stopping = asyncio.create_task(service.shutdown(drain=3600))
    tried = archive.attempts
    await until(lambda: archive.attempts >= tried + 3)

    archive.refuses = lambda _: None
    async with asyncio.timeout(60):
        assert await stopping == []


async def test_a_name_that_is_taken_twice_over_loses_nothing(logs: Logs) -> None:
    logs.dead_writer("a line")
    archive = Archive()
    archive.refuses = NameTakenError
    service = await logs.drain(archive, seconds=0.3)

    assert service.statistics().shipped == 0
    assert logs.messages("*.log") == ["a line"]


@pytest.mark.usefixtures("good")
async def test_an_archive_directory_without_room_or_rights_is_told_with_the_remedy(
    logs: Logs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = tmp_path / "archive"
    service = logs.monitor(archive)
    await service.initialize()
    await until(lambda: logs.names() == [])
    (archive / "app=till").write_text("a file where a folder belongs")
    logs.dead_writer("stuck").write_bytes((_header_of(logs, "till")) + b'{"message":"stuck"}\n')
    await until(lambda: service.statistics().failed >= 1)
    await service.shutdown(drain=0)

    (text,) = told(caplog)
    assert f"cannot write into the archive {archive}" in text
    assert "the right to write" in text
    assert len(logs.names("*.log")) == 1


def _header_of(logs: Logs, app: str) -> bytes:
    handler = logs.writer("other", app=app)
    line = handler.header.line()
    handler.close()
    return line
