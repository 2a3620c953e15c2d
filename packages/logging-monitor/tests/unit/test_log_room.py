"""How long files stay, how much disk they take, and in which order a backlog is worked off."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_logging_monitor import Arrival, LogMonitorService, _pass
from penstock_logging_monitor._listing import Entry, FairQueue, logs_oldest_first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest
    from conftest import Logs

DAY = 24 * 60 * 60.0


class Archive:
    """A target in memory that notes in which order it is given what; it can be shut."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.messages: list[str] = []
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()

    async def open(self) -> None:
        pass

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:  # noqa: ARG002  # not looked at
        content = await asyncio.to_thread(path.read_bytes)
        await self.gate.wait()
        self.messages += [json.loads(line)["message"] for line in gzip.decompress(content).splitlines()[1:]]
        return Arrival.CREATED

    async def close(self) -> None:
        pass


def closed(logs: Logs, message: str, *, age: float = 0.0) -> Path:
    """Leave a closed file that was last written so many seconds ago."""
    handler = logs.writer(message)
    logs.say(handler, message)
    handler.close()
    (name,) = logs.names(f"shop-{message}__*")
    path = logs.directory / name
    moment = time.time() - age
    os.utime(path, (moment, moment))
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_shipped_files_are_gone_unless_they_are_to_be_kept(logs: Logs) -> None:
    path = closed(logs, "once")
    content = path.read_bytes()

    await logs.drain(Archive(), keep_shipped=True)

    assert logs.names("*.log") == []
    assert (logs.directory / "shipped" / path.name).read_bytes() == content

    closed(logs, "twice")
    await logs.drain(Archive())
    assert [kept.name for kept in (logs.directory / "shipped").iterdir()] == [path.name]


async def test_what_was_shipped_and_kept_is_not_shipped_again(logs: Logs) -> None:
    closed(logs, "once")
    archive = Archive()

    await logs.drain(archive, keep_shipped=True)
    await logs.drain(archive, keep_shipped=True)

    assert archive.messages == ["once"]


async def test_two_kept_files_of_one_name_do_not_replace_each_other(logs: Logs) -> None:
    path = closed(logs, "first")
    content = path.read_bytes()
    await logs.drain(Archive(), keep_shipped=True)
    path.write_bytes(content + b'{"message":"second"}\n')

    await logs.drain(Archive(), keep_shipped=True)

    assert len(list((logs.directory / "shipped").iterdir())) == 2


async def test_kept_files_go_when_their_days_are_over(logs: Logs) -> None:
    closed(logs, "old", age=2.1 * DAY)
    closed(logs, "new", age=1.9 * DAY)

    service = await logs.drain(Archive(), keep_shipped=True, retention_days=2)
    again = await logs.drain(Archive(), keep_shipped=True, retention_days=2)

    assert service.statistics().expired + again.statistics().expired == 1
    assert logs.messages(below=logs.directory / "shipped") == ["new"]


async def test_kept_files_go_also_when_no_more_are_kept(logs: Logs) -> None:
    closed(logs, "old", age=3 * DAY)
    await logs.drain(Archive(), keep_shipped=True)

    service = await logs.drain(Archive(), retention_days=2)

    assert service.statistics().expired == 1
    assert logs.messages(below=logs.directory / "shipped") == []


async def test_without_an_archive_complete_files_go_when_their_days_are_over(logs: Logs) -> None:
    closed(logs, "old", age=2.1 * DAY)
    closed(logs, "new", age=1.9 * DAY)
    living = logs.writer("living")
    logs.say(living, "living")
    assert living.path is not None
    os.utime(living.path, (0, 0))

    service = await logs.drain(None, retention_days=2)

    assert sorted(logs.messages()) == ["living", "new"]
    assert (service.statistics().expired, service.statistics().kept) == (1, 1)


async def test_what_waits_for_the_archive_never_expires(logs: Logs) -> None:
    closed(logs, "old", age=1000 * DAY)
    archive = Archive()

    service = await logs.drain(archive, retention_days=1)

    assert archive.messages == ["old"]
    assert service.statistics().expired == 0


async def test_nothing_is_dropped_unless_that_is_asked_for(logs: Logs) -> None:
    for number in range(5):
        closed(logs, f"w{number}", age=number)

    service = await logs.drain(None)

    assert len(logs.messages()) == 5
    assert service.statistics().dropped == 0


async def test_beyond_max_disk_the_oldest_are_dropped_counted_and_told_once(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = {
        name: closed(logs, name, age=age).stat().st_size for name, age in (("oldest", 300), ("old", 200), ("new", 100))
    }
    limit = sizes["old"] + sizes["new"]

    service = await logs.drain(None, max_disk=limit)

    assert sorted(logs.messages()) == ["new", "old"]
    assert (service.statistics().dropped, service.statistics().dropped_bytes) == (1, sizes["oldest"])
    assert caplog.text.count("dropped unshipped log files") == 1


async def test_copies_of_shipped_files_are_dropped_before_any_other(logs: Logs) -> None:
    closed(logs, "shipped", age=1)
    await logs.drain(Archive(), keep_shipped=True)
    waiting = closed(logs, "waiting", age=100)

    service = await logs.drain(None, max_disk=waiting.stat().st_size)

    assert logs.messages() == ["waiting"]
    assert (service.statistics().dropped, service.statistics().expired) == (0, 1)


async def test_living_and_foreign_files_are_never_dropped(logs: Logs) -> None:
    living = logs.writer("living")
    logs.say(living, "living")
    (logs.directory / "nginx.log").write_text("a line\n")
    closed(logs, "complete")

    service = await logs.drain(None, max_disk=1)

    assert logs.names("*.log") == ["nginx.log", "shop-living.current.log"]
    assert service.statistics().dropped == 1


def test_a_backlog_keeps_its_order_and_every_fourth_turn_is_the_newest_ones() -> None:
    queue = FairQueue([Entry(float(number), f"{number}.log", 1) for number in range(8)])

    turns = [entry.name.removesuffix(".log") for entry in iter(queue.next, None) if entry]

    assert turns == ["0", "1", "2", "7", "3", "4", "5", "6"]


async def test_a_backlog_is_shipped_oldest_first(logs: Logs) -> None:
    for number in range(3):
        closed(logs, f"w{number}", age=100 - number)
    archive = Archive()

    await logs.drain(archive, concurrency=1)

    assert archive.messages == ["w0", "w1", "w2"]


async def test_what_is_closed_now_does_not_wait_behind_a_backlog(logs: Logs) -> None:
    for number in range(60):
        closed(logs, f"w{number}", age=1000 - number)
    archive = Archive(is_open=False)
    service = logs.monitor(archive, concurrency=1)
    await service.initialize()
    await until(lambda: service.statistics().waiting > 50)  # a look has ended, though the archive does not move
    closed(logs, "fresh")
    seen = service.statistics().scans
    await until(lambda: service.statistics().scans > seen)

    archive.gate.set()
    await until(lambda: "fresh" in archive.messages)
    behind = archive.messages.index("fresh")
    await service.shutdown(drain=20)

    assert behind < 20
    assert len(archive.messages) == 61


async def test_a_directory_that_takes_long_to_list_is_worked_off_all_the_same(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_slowly(directory: Path) -> list[Entry]:
        time.sleep(0.05)
        return logs_oldest_first(directory)

    monkeypatch.setattr(_pass, "_LONGEST", 0.01)
    monkeypatch.setattr(_pass, "logs_oldest_first", list_slowly)
    closed(logs, "patient")
    archive = Archive()

    await logs.drain(archive)

    assert archive.messages == ["patient"]


async def test_the_oldest_waiting_file_is_known_by_its_last_line(logs: Logs) -> None:
    closed(logs, "old", age=500)
    closed(logs, "new", age=100)

    class Refusing(Archive):
        async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
            raise ConnectionError(path, name, len(metadata))

    service = logs.monitor(Refusing())
    await service.initialize()
    await until(lambda: service.statistics().waiting == 2)
    seen = service.statistics()
    await service.shutdown(drain=0)

    assert 500 <= seen.oldest_unshipped_age(time.time()) < 560
    assert seen.waiting_bytes == sum((logs.directory / name).stat().st_size for name in logs.names("*.log"))
    assert LogMonitorService(logs.directory).statistics().oldest_unshipped_age(time.time()) == 0


async def test_on_a_full_disk_files_are_packed_elsewhere(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = Path.open

    def full(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.parent == logs.directory and path.suffix == ".part":
            raise OSError(28, "No space left on device")
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    closed(logs, "packed")
    archive = Archive()

    await logs.drain(archive)

    assert archive.messages == ["packed"]
    assert names_in(tmp_path) == ["logs"]
