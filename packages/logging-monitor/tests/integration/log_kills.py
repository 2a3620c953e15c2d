"""A harness that kills: writers and monitors die at random moments, often at the worst ones, and are started again.

Run as a program: ``log_kills.py DIRECTORY LINES SEED``. It goes on until that many lines are written and a twelfth as
many writers have lived. Below DIRECTORY, ``logs`` is what they fight over, ``archive`` is the monitors' target, and
``acknowledged`` holds a file for each writer: how many of its lines it knows written. At the end every process is dead,
a last monitor has cleared up, and the counts are printed as JSON.

Processes are forked from this one, which is what makes hundreds of them affordable. ``PENSTOCK_LOG_MUTANT`` plants a
defect: ``no-inode-check`` (a lock counts even if the name leads elsewhere by now) or ``random-names`` (each attempt to
ship makes up a name of its own).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import struct
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from penstock_logging_monitor import JsonFormatter, LogFileHandler, LogMonitorService, _lock, _ship

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_logging_monitor import Header

WRITERS = 8
MONITORS = 2
LINES_OF_A_LIFE = 12
WRITER_KILLS = 25.0  # a second
MONITOR_KILLS = 3.0  # a second
SELF_KILL = 0.03  # probability before and after each rename and removal
WRITER_HESITATES = 0.03  # seconds, at most, between opening a file and locking it: where the races are
MONITOR_HESITATES = 0.002

_really_lock = _lock.try_lock
_rename = Path.rename
_unlink = Path.unlink


def main(directory: Path, lines: int, rng: random.Random) -> dict[str, int]:
    """Let them live and die until enough is written, then clear up."""
    (directory / "acknowledged").mkdir(parents=True)
    fleet = Fleet(directory, rng)
    while fleet.started["writer"] < lines / LINES_OF_A_LIFE or sum(acknowledged(directory).values()) < lines:
        fleet.keep_up()
        time.sleep(rng.expovariate(WRITER_KILLS))
        fleet.kill_one()
    fleet.kill_all()
    staying = asyncio.run(clear_up(directory))
    return {"writers": fleet.started["writer"], "monitors": fleet.started["monitor"], "staying": len(staying)}


def acknowledged(directory: Path) -> dict[int, int]:
    """Return by writer how many of its lines, counted from 0, are known to be written."""
    notes = {int(note.name): note.read_bytes() for note in (directory / "acknowledged").iterdir()}
    return {writer: struct.unpack("<q", note)[0] for writer, note in notes.items() if note}


class Fleet:
    """The processes that are alive now."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self._directory = directory
        self._rng = rng
        self._alive: dict[tuple[str, int], int] = {}
        self.started = {"writer": 0, "monitor": 0}

    def keep_up(self) -> None:
        """Start whoever died, by our hand or its own."""
        for slot, pid in list(self._alive.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._alive[slot]
        for slot in [("writer", n) for n in range(WRITERS)] + [("monitor", n) for n in range(MONITORS)]:
            if slot not in self._alive:
                self._alive[slot] = self._start(*slot)

    def kill_one(self) -> None:
        """Kill a writer, or now and then a monitor."""
        kind = "monitor" if self._rng.random() < MONITOR_KILLS / WRITER_KILLS else "writer"
        os.kill(self._rng.choice([pid for (is_kind, _), pid in self._alive.items() if is_kind == kind]), signal.SIGKILL)

    def kill_all(self) -> None:
        for pid in self._alive.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _start(self, kind: str, slot: int) -> int:
        self.started[kind] += 1
        seed = self._rng.getrandbits(64)
        number = self.started[kind]
        if kind == "monitor":
            return fork(lambda: monitor(self._directory, random.Random(seed)))
        return fork(lambda: write(self._directory, number, self._name_for(slot), random.Random(seed)))

    def _name_for(self, slot: int) -> str:
        """Choose the name of its dead predecessor, of somebody who may be alive, or a new one."""
        chance = self._rng.random()
        if chance < 0.4:
            return f"slot-{slot}"
        return f"slot-{self._rng.randrange(WRITERS)}" if chance < 0.5 else f"new-{self.started['writer']}"


def fork(life: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        life()
    finally:
        os._exit(1)


def write(directory: Path, number: int, name: str, rng: random.Random) -> None:
    """Log numbered lines for ever, and note where a kill cannot reach which of them were written."""
    plant_faults(rng, WRITER_HESITATES)
    handler = LogFileHandler(directory / "logs", app="kills", process=name, max_bytes=rng.randrange(1_000, 20_000))
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("kills")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    note = os.open(directory / "acknowledged" / str(number), os.O_CREAT | os.O_WRONLY)
    seq = 0
    while True:
        padding = "x" * int(20 * 10 ** (3 * rng.random()))
        logger.info("line", extra={"writer": number, "seq": seq, "padding": padding})
        if handler.statistics().written > seq:
            seq += 1
            os.pwrite(note, struct.pack("<q", seq), 0)
        time.sleep(rng.random() * 0.01)


def monitor(directory: Path, rng: random.Random) -> None:
    """Ship for ever."""
    plant_faults(rng, MONITOR_HESITATES)

    async def watch() -> None:
        service = LogMonitorService(directory / "logs", target=directory / "archive", scan_interval=0.02)
        await service.initialize()
        await asyncio.Event().wait()

    asyncio.run(watch())


async def clear_up(directory: Path) -> list[str]:
    service = LogMonitorService(directory / "logs", target=directory / "archive", scan_interval=0.02)
    await service.initialize()
    return await service.shutdown(drain=10)


def plant_faults(rng: random.Random, hesitation: float) -> None:
    """Make this process slow where races are, and mortal where a death hurts most."""

    def lock_late(fd: int) -> bool:
        time.sleep(rng.random() * hesitation)
        return _really_lock(fd)

    def rename(path: Path, target: Path) -> Path:
        die_sometimes(rng)
        renamed = _rename(path, target)
        die_sometimes(rng)
        return renamed

    def unlink(path: Path, **options: Any) -> None:
        die_sometimes(rng)
        _unlink(path, **options)
        die_sometimes(rng)

    mock.patch.object(_lock, "try_lock", lock_late).start()
    mock.patch.object(Path, "rename", rename).start()
    mock.patch.object(Path, "unlink", unlink).start()


def die_sometimes(rng: random.Random) -> None:
    if rng.random() < SELF_KILL:
        os.kill(os.getpid(), signal.SIGKILL)


def claim_without_looking(path: Path, flags: int) -> int | None:
    fd = os.open(path, flags, 0o666)
    if _lock.try_lock(fd):
        return fd
    os.close(fd)
    return None


def name_at_random(header: Header, extension: str) -> str:
    return f"{header.app}-{uuid.uuid4().hex}.log{extension}"


def mutate(mutant: str) -> None:
    """Plant a defect."""
    if mutant == "no-inode-check":
        mock.patch.object(_lock, "claim", claim_without_looking).start()
    elif mutant == "random-names":
        mock.patch.object(_ship, "blob_name", name_at_random).start()


if __name__ == "__main__":
    mutate(os.environ.get("PENSTOCK_LOG_MUTANT", ""))
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), random.Random(sys.argv[3]))))
