"""What the processes of the harness do: writers log numbered lines, monitors ship, and all of them may die at any step.

A writer notes, where no kill can reach it, how many of its lines it was told are written: a log call that returned.
What it notes is the account that the archive is held against; nothing in the package knows of it.
"""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import logging
import os
import signal
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from penstock_logging_monitor import Arrival, LogMonitorService, Target, configure_logging

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

LINES_OF_A_CHILD = 20  # at most
DIES_WITHIN_A_WRITE = 0.005

_write = os.write


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run of the harness goes.

    Attributes:
        directory: Where ``logs``, ``archive`` and ``acknowledged`` are.
        seconds: How long it kills, at least.
        clearing_up: Seconds, at most, in which all that has piled up must be shipped at the end.
        writers: How many writers must have lived until it ends.
        victims: How many of all must have been killed from outside until it ends.
        seed: Of what is drawn.
        mutant: A planted defect; none if empty.
        namespaces: Whether every process is the first of a pid namespace of its own.
        connection_string: Of a storage account as archive, instead of the directory.
        dies: Probability of a death before, and of one after, each rename, removal, opening and closing.
        forks: Probability after each line that a writer leaves a child behind.
        max_bytes: Where files end at the latest; a writer draws its own limit, down to a fifteenth.
        fails: Probability of an upload that fails, and of one that succeeds without an answer.
        packing_takes: Seconds, at most, that each piece of a file takes longer to compress than it must.
        kills: Writers killed from outside in a second; monitors are a tenth of that.
        scan_interval: Seconds between two looks of a monitor.
        writer_hesitates: Seconds, at most, from opening a file to locking it: where the races are.
        monitor_hesitates: The same for a monitor.
    """

    directory: str
    seconds: float
    clearing_up: float
    writers: int = 0
    victims: int = 0
    seed: int = 1
    mutant: str = ""
    namespaces: bool = False
    connection_string: str = ""
    dies: float = 0.03
    forks: float = 0.02
    max_bytes: int = 300_000
    fails: float = 0.02
    packing_takes: float = 0.0
    kills: float = 25.0
    scan_interval: float = 0.02
    writer_hesitates: float = 0.03
    monitor_hesitates: float = 0.002

    @property
    def logs(self) -> Path:
        """Where they log."""
        return Path(self.directory, "logs")

    @property
    def acknowledged(self) -> Path:
        """Where writers note what they know to be written: a file each, named by their number."""
        return Path(self.directory, "acknowledged")

    def monitor(self) -> LogMonitorService:
        """Return a monitor that ships to this run's archive."""
        where: dict[str, Any] = {"target": Path(self.directory, "archive")}
        if self.connection_string:
            where = {"connection_string": self.connection_string, "container_name": "archive"}
        return LogMonitorService(self.logs, scan_interval=self.scan_interval, **where)


def write(settings: Settings, number: str, name: str, rng: random.Random) -> None:
    """Log numbered lines for ever, in files of all sizes, and now and then leave a child that does so for a while."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    make_mortal(rng, settings.dies, settings.writer_hesitates, "rename", "unlink", "open", "close")
    mock.patch.object(os, "write", die_within(rng)).start()
    max_bytes = rng.randrange(settings.max_bytes // 15, settings.max_bytes)
    configure_logging(logs_dir=settings.logs, app="kills", process=name, max_bytes=max_bytes, console=False)
    log_lines(settings, number, rng, sys.maxsize)


def log_lines(settings: Settings, number: str, rng: random.Random, lines: int) -> None:
    """Log lines of 100 to 200,000 bytes, most of them short, and note each one whose call returned."""
    logger = logging.getLogger("kills")
    note = os.open(settings.acknowledged / number, os.O_CREAT | os.O_WRONLY)
    for seq in range(lines):
        padding = "all work and no play " * int(10 ** (4 * rng.random() ** 4))
        logger.info("line", extra={"writer": number, "seq": seq, "padding": padding, "crc": crc(number, seq, padding)})
        os.pwrite(note, struct.pack("<q", seq + 1), 0)
        time.sleep(rng.random() * 0.01)
        if lines == sys.maxsize and rng.random() < settings.forks and not os.fork():
            rng.seed(f"{number}.{seq}")
            log_lines(settings, f"{number}.{seq}", rng, rng.randrange(LINES_OF_A_CHILD))
            die()


def crc(number: str, seq: int, padding: str) -> int:
    """Return what proves that a line is whole and one."""
    return zlib.crc32(f"{number} {seq} {padding}".encode())


def ship(settings: Settings, rng: random.Random) -> None:
    """Ship for ever."""
    make_mortal(rng, settings.dies, settings.monitor_hesitates, "rename", "unlink", "link")
    mock.patch.object(gzip.GzipFile, "write", hesitating(gzip.GzipFile.write, rng, settings.packing_takes)).start()
    logging.getLogger().addHandler(logging.NullHandler())

    async def watch() -> None:
        service = settings.monitor()
        assert service.target is not None
        service.target = UnreliableTarget(service.target, rng, settings)
        await service.initialize()
        await asyncio.Event().wait()

    asyncio.run(watch())


class UnreliableTarget:
    """An archive that is away now and then, that may answer with an error though it did store, or with death."""

    def __init__(self, target: Target, rng: random.Random, settings: Settings) -> None:
        self._target = target
        self._rng = rng
        self._settings = settings

    async def open(self) -> None:
        await self._target.open()

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
        self._die_or_fail()
        arrival = await self._target.put(path, name, metadata)
        self._die_or_fail()
        return arrival

    async def close(self) -> None:
        await self._target.close()

    def _die_or_fail(self) -> None:
        die_sometimes(self._rng, self._settings.dies)
        if self._rng.random() < self._settings.fails:
            raise ConnectionError("the archive is away")


def make_mortal(rng: random.Random, dies: float, hesitates: float, *steps: str) -> None:
    """Make this process slow where races are, and mortal where a death hurts most."""
    mock.patch.object(fcntl, "flock", hesitating(fcntl.flock, rng, hesitates)).start()
    for step in steps:
        mock.patch.object(os, step, mortal(getattr(os, step), rng, dies)).start()


def hesitating(step: Callable[..., Any], rng: random.Random, seconds: float) -> Callable[..., Any]:
    def wait_and_do(*args: Any) -> Any:
        time.sleep(rng.random() * seconds)
        return step(*args)

    return wait_and_do


def mortal(step: Callable[..., Any], rng: random.Random, dies: float) -> Callable[..., Any]:
    def die_or_do(*args: Any, **kwargs: Any) -> Any:
        die_sometimes(rng, dies)
        result = step(*args, **kwargs)
        die_sometimes(rng, dies)
        return result

    return die_or_do


def die_within(rng: random.Random) -> Callable[[int, bytes], int]:
    """Return an `os.write` within which its process may die, and leave a torn line."""

    def write_or_die(fd: int, data: bytes) -> int:
        if rng.random() < DIES_WITHIN_A_WRITE:
            _write(fd, data[: rng.randrange(len(data))])
            die()
        return _write(fd, data)

    return write_or_die


def die_sometimes(rng: random.Random, probability: float) -> None:
    if rng.random() < probability:
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)  # the first process of a namespace is spared its own signals
