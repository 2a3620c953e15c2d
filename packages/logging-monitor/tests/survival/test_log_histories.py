"""Whatever happens to writers, disk, clock and archive: a line that was written arrives once, a lost one never.

Hypothesis makes up the histories. What a writer says of each record, written or lost, is held against the archive.
`PENSTOCK_SURVIVAL` is "quick" (the same 80 histories every time) or "full" (2,000 new ones).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import io
import json
import logging
import os
import shutil
import tempfile
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from penstock_logging_monitor import (
    Arrival,
    JsonFormatter,
    LogFileHandler,
    LogMonitorService,
    NameTakenError,
    _lock,
    _series,
    _ship,
    _writer,
)
from penstock_logging_monitor._names import closed_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from penstock_logging_monitor import Header

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
NAMES = ("a", "a", "b")  # of the processes: two are namesakes
SMALL = 1_500  # bytes to a file
DAY = 86_400.0
SLOTS = st.sampled_from(range(len(NAMES)))
SIZES = st.sampled_from([10, 200, SMALL])
ANSWERS = st.lists(st.sampled_from(["stored", "away", "stored but silent"]), max_size=4)


class Killed(BaseException):
    """Ends a writer in the middle of what it does."""


class Disk:
    """The directory's disk as system calls see it: it can be full, refuse, and be the last thing a writer touches."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._open = os.open
        self._calls = {name: getattr(os, name) for name in ("rename", "unlink", "write", "close")}
        self._io_open = io.open
        self.room: int | None = None
        self.refuses = False
        self.steps_to_live: int | None = None
        self.descriptors: set[int] = set()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Stand between the package and the system."""
        with (
            mock.patch.multiple(os, open=self.open, write=self.write, close=self.close),
            mock.patch.multiple(os, **{name: self._changing(name) for name in ("rename", "unlink")}),
            mock.patch.object(io, "open", self.io_open),
        ):
            yield

    @property
    def is_well(self) -> bool:
        return self.room is None and not self.refuses

    def open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if not self._is_ours(path):
            return self._open(path, flags, *args, **kwargs)
        if flags & os.O_CREAT and not Path(path).exists():
            self._refuse(path)
        with self._a_step():
            fd = self._open(path, flags, *args, **kwargs)
            self.descriptors.add(fd)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        if fd not in self.descriptors or self.room is None:
            return int(self._calls["write"](fd, data))
        if not self.room:
            raise OSError(errno.ENOSPC, "no space left")
        written = int(self._calls["write"](fd, data[: self.room]))
        self.room -= written
        return written

    def close(self, fd: int) -> None:
        self.descriptors.discard(fd)
        self._calls["close"](fd)

    def close_all(self) -> None:
        """Close what was open when a writer was killed in the middle of something."""
        for fd in self.descriptors:
            self._calls["close"](fd)

    def io_open(self, path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if self._is_ours(path) and "x" in mode:
            self._refuse(path)
            if self.room is not None:
                raise OSError(errno.ENOSPC, "no space left", str(path))
        return self._io_open(path, mode, *args, **kwargs)

    def _changing(self, name: str) -> Any:
        def change(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._is_ours(path):
                return self._calls[name](path, *args, **kwargs)
            self._refuse(path)
            with self._a_step():
                return self._calls[name](path, *args, **kwargs)

        return change

    def _refuse(self, path: Any) -> None:
        if self.refuses:
            raise PermissionError(errno.EACCES, "permission denied", str(path))

    @contextmanager
    def _a_step(self) -> Iterator[None]:
        """Kill before or after what is done, when it is time."""
        self._count_down()
        yield
        self._count_down()

    def _count_down(self) -> None:
        if self.steps_to_live is not None:
            self.steps_to_live -= 1
            if self.steps_to_live < 0:
                raise Killed

    def _is_ours(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._root)


class Archive:
    """A create-only archive in memory that answers as it is told."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.answers: list[str] = []

    async def open(self) -> None:
        pass

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:  # noqa: ARG002
        answer = self.answers.pop() if self.answers else "stored"
        if answer == "away":
            raise ConnectionError("the archive is away")
        content = path.read_bytes()  # noqa: ASYNC240  # so that nothing else happens meanwhile
        arrival = Arrival.SAME if name in self.blobs else Arrival.CREATED
        if self.blobs.setdefault(name, content) != content:
            raise NameTakenError(name)
        if answer == "stored but silent":
            raise ConnectionError("no answer")
        return arrival

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class Writer:
    """A process that logs, as far as it matters here."""

    number: int
    handler: LogFileHandler

    @property
    def written(self) -> int:
        return self.handler.statistics().written


class Histories(RuleBasedStateMachine):
    """Processes that log into one directory, a monitor that looks now and then, and everything that can happen."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="log-histories-"))
        self.directories = [self.root / "logs"]
        self.directories[0].mkdir()
        self.disk = Disk(self.root)
        self.archive = Archive()
        self.runner = asyncio.Runner()
        self.writers: dict[int, Writer] = {}
        self.started = 0
        self.logged = 0
        self.written: set[int] = set()
        self.lost: set[int] = set()
        self.now = 1_772_366_400.0
        self.monotonic = 0.0
        self.trouble_ends_in = 0
        self.trouble_until = 0.0
        self.found_by = 0.0

    @rule(slot=SLOTS, count=st.integers(1, 4), size=SIZES)
    def write(self, slot: int, count: int, size: int) -> None:
        if slot not in self.writers:
            self.start(slot)
        for _ in range(count):
            self.log(slot, size)

    @rule(slot=SLOTS, size=SIZES)
    def write_once(self, slot: int, size: int) -> None:
        self.write(slot, 1, size)

    @rule(slot=SLOTS)
    def rotate(self, slot: int) -> None:
        if slot in self.writers:
            with self.disk.in_place():
                self.writers[slot].handler.close_file()

    @rule(slot=SLOTS)
    def end(self, slot: int) -> None:
        if slot in self.writers:
            with self.disk.in_place():
                self.writers.pop(slot).handler.close()

    @rule(slot=SLOTS, torn=st.sampled_from([b"", b'{"ts":"2026-']), again=st.booleans())
    def kill(self, slot: int, torn: bytes, *, again: bool) -> None:
        """Kill a writer between two records, or within one; it may be started again at once."""
        if slot in self.writers:
            file = self.writers[slot].handler._series.file
            if torn and file:
                os.write(file._fd, torn)  # not by its name, which may lead to a namesake's in another directory
            self.bury(slot)
            if again:
                self.write(slot, 1, SMALL)

    @rule(slot=SLOTS, steps=st.integers(0, 7))
    def kill_while_it_rotates(self, slot: int, steps: int) -> None:
        if slot in self.writers:
            self.disk.steps_to_live = steps
            with contextlib.suppress(Killed):
                self.log(slot, SMALL)
            killed, self.disk.steps_to_live = self.disk.steps_to_live < 0, None
            if killed:
                self.bury(slot)

    @rule(answers=ANSWERS)
    def look(self, answers: list[str]) -> None:
        """Let a new monitor go over the directory once; it adopts, ships, and ends before it can try again."""
        self.archive.answers = answers
        self.runner.run(self.look_once())
        self.archive.answers = []

    @rule(seconds=st.sampled_from([-2 * DAY, -DAY, -3600.0, -1.0, 1.0, 3600.0, DAY]))
    def step_clock(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([0.4, 1.5, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds

    @rule(room=st.sampled_from([None, 0, 50, 500, 2_000]), steps=st.integers(1, 5))
    def have_trouble(self, room: int | None, steps: int) -> None:
        """Let the disk be full, or refuse everything, while the next few things happen."""
        self.disk.room, self.disk.refuses = room, room is None
        self.trouble_ends_in = steps + 1

    @rule(seconds=st.sampled_from([0.4, 1.5]))
    def replace_directory(self, seconds: float) -> None:
        """Move the directory away from under its writers, put an empty one in its place, and let time pass."""
        aside = self.root / f"aside-{len(self.directories)}"
        self.directories[-1].rename(aside)
        self.directories.insert(0, aside)
        self.directories[-1].mkdir()
        self.found_by = self.now + 1.0  # writers look after their files once a second, by the clock on the wall
        self.wait(seconds)

    @invariant()
    def repair_disk_in_time(self) -> None:
        self.trouble_ends_in -= 1
        if self.trouble_ends_in == 0:
            self.repair_disk()

    def teardown(self) -> None:
        try:
            self.settle()
            self.judge()
        finally:
            self.disk.close_all()
            self.runner.close()
            shutil.rmtree(self.root)

    def start(self, slot: int) -> None:
        self.started += 1
        with self.disk.in_place():
            handler = LogFileHandler(
                self.directories[-1],
                app="shop",
                process=NAMES[slot],
                max_bytes=SMALL,
                clock_ns=lambda: int(self.now * 1_000_000_000),
                monotonic=lambda: self.monotonic,
            )
        handler.setFormatter(JsonFormatter())
        self.writers[slot] = Writer(self.started, handler)

    def log(self, slot: int, size: int) -> None:
        """Log a numbered record, and note what its writer says became of it; nothing, if it is killed meanwhile."""
        writer = self.writers[slot]
        self.logged += 1
        facts = {"msg": "x" * size, "levelname": "INFO", "writer": writer.number, "number": self.logged}
        written = writer.written
        with self.disk.in_place():
            writer.handler.handle(logging.makeLogRecord(facts))
        if writer.written > written:  # by one, or by two with a record that tells of losses
            self.written.add(self.logged)
            path = writer.handler.path  # None if there was no room for a new file, to tell of losses in
            assert path is None or path.exists() or self.now < self.found_by, "nobody will find this file"
        else:
            assert not self.disk.is_well or self.monotonic <= self.trouble_until, "lost for no reason"
            self.lost.add(self.logged)

    def bury(self, slot: int) -> None:
        """Do what the death of a process does: its descriptors are closed, and nothing else."""
        with self.disk.in_place():
            self.writers.pop(slot).handler.after_fork_in_child()

    def repair_disk(self) -> None:
        if not self.disk.is_well:
            self.trouble_until = self.monotonic + 1.0  # a file that could not be opened is tried again then
        self.disk.room, self.disk.refuses = None, False

    async def look_once(self) -> None:
        with self.disk.in_place():
            service = LogMonitorService(self.directories[-1], target=self.archive, scan_interval=60, concurrency=1)
            await service.initialize()
            while not service.statistics().scans or (service._shipper and service._shipper.is_busy):
                await asyncio.sleep(0)
            await service.shutdown(drain=0)

    def settle(self) -> None:
        """Repair everything, end everybody, and ship what is left."""
        self.repair_disk()
        for slot in list(self.writers):
            self.end(slot)
        for directory in self.directories:
            assert self.runner.run(self.drain(directory)) == []

    async def drain(self, directory: Path) -> list[str]:
        service = LogMonitorService(directory, target=self.archive, scan_interval=0.001)
        await service.initialize()
        return await service.shutdown(drain=10)

    def judge(self) -> None:
        arrived: Counter[int] = Counter()
        for content in self.archive.blobs.values():
            records = whole_records(gzip.decompress(content))
            arrived.update(record["number"] for record in records)
            assert len({record["writer"] for record in records}) <= 1, "a file holds lines of two writers"
        assert {number for number, count in arrived.items() if count > 1} == set(), "doubled"
        assert self.written - arrived.keys() == set(), "missing"
        assert self.lost & arrived.keys() == set(), "there, though its writer said that it was lost"


def whole_records(content: bytes) -> list[dict[str, Any]]:
    """Return what the writers under test logged, without headers, torn lines and the handler's own words."""
    header, *lines = content.split(b"\n")[:-1]
    assert b'"schema":"penstock-log/1"' in header
    return [record for record in map(read_line, lines) if "number" in record]


def read_line(line: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        pytest.fail(f"damaged: {line[:100]!r}")
    return record


def run(examples: int, **options: Any) -> None:
    """Try so many histories."""
    always = settings(max_examples=examples, stateful_step_count=30, deadline=None, database=None)
    run_state_machine_as_test(Histories, settings=settings(always, **options))


def test_no_history_loses_or_doubles_a_line() -> None:
    run(2_000 if FULL else 80, derandomize=not FULL)


def leave_a_torn_line(file: _writer.CurrentFile, rest: memoryview) -> None:
    """Leave behind what was written of a record that does not fit onto the disk."""
    while rest:
        rest = rest[os.write(file._fd, rest) :]


def name_without_inode(header: Header, *, inode: int) -> str:  # noqa: ARG001
    """Trust the clock to tell a writer's files from its namesakes'."""
    return closed_name(header, inode=0)


def name_at_random(header: Header, extension: str) -> str:
    """Name each attempt to ship anew."""
    return f"{header.app}-{uuid.uuid4().hex}{extension}"


def append_to_what_is_there(path: Path) -> int | None:
    """Go on in a dead namesake's file."""
    return _lock.claim(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)


def never_look(file: _writer.CurrentFile) -> bool:  # noqa: ARG001
    """Believe for ever that the file is where it was opened."""
    return True


@pytest.mark.parametrize(
    ("owner", "name", "planted"),
    [
        (_writer.CurrentFile, "_append_rest", leave_a_torn_line),
        (_writer, "closed_name", name_without_inode),
        (_writer, "_claim_empty", append_to_what_is_there),
        (_ship, "blob_name", name_at_random),
        (_series, "_is_there", never_look),
    ],
    ids=["torn lines", "names by the clock", "dead files appended to", "random names", "directories never looked at"],
)
def test_a_planted_defect_is_found(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, planted: Any) -> None:
    monkeypatch.setattr(owner, name, planted)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(200, phases=[Phase.generate], derandomize=True)
