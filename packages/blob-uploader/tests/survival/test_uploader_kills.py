"""kill -9 of an uploader, at random and where it hurts most, while 30 producers hand it files and the account fails.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes: 15,000 files, 40 kills).
"""

import asyncio
import hashlib
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from penstock_local_azure import Blob, CutAnswer, StorageError

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
nightly = pytest.mark.skipif(not FULL, reason="that planted faults are found is tested at full length")

SCRIPT = Path(__file__).with_name("surviving_uploader.py")
FILES, KILLS = (15_000, 40) if FULL else (600, 8)
HURTING = ("committed", "before deletion", "after deletion")
AT_RANDOM = "at random"
LARGE = 5 * 1024**2  # sent in blocks

_log = logging.getLogger(__name__)


@dataclass
class Place:
    """The files, and what they held; the test keeps the account."""

    directory: Path
    hashes: dict[str, str]

    @classmethod
    def filled(cls, directory: Path, count: int, chance: Random) -> "Place":
        """Write files, mostly small ones."""
        (directory / "files").mkdir()
        (directory / "handed-over").mkdir()
        (directory / "count").write_text(str(count))
        hashes = {}
        for n in range(count):
            content = chance.randbytes(LARGE if n % 1500 == 7 else chance.randrange(4000))
            (directory / "files" / f"f{n:05}").write_bytes(content)
            hashes[f"f{n:05}"] = hashlib.sha256(content).hexdigest()
        return cls(directory, hashes)

    @property
    def there(self) -> set[str]:
        """The names of the files that have not been deleted."""
        return {path.name for path in (self.directory / "files").iterdir()}

    @property
    def handed_over(self) -> int:
        """How many files the producers have noted: each in a line of seven bytes."""
        return sum(path.stat().st_size for path in (self.directory / "handed-over").iterdir()) // 7

    @property
    def gone(self) -> set[str]:
        """The names of the files that have."""
        return self.hashes.keys() - self.there


@asynccontextmanager
async def started(blob: Blob, place: Place, **suffers: object) -> AsyncIterator[Process]:
    """Start an uploader, and be rid of it in the end."""
    told = {"connection_string": blob.connection_string, "place": str(place.directory), "die": None, "plant": None}
    with (place.directory / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), json.dumps({**told, "allowance": None, **suffers}), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def holdings(blob: Blob) -> dict[str, str]:
    """Read the stand-in's own store: the hash of each blob's bytes, by name."""
    blobs = blob._store.container("box").blobs
    return {name: hashlib.sha256(bytes(stored.content)).hexdigest() for name, stored in blobs.items()}


@dataclass(frozen=True)
class Death:
    """How an uploader dies."""

    instant: str = AT_RANDOM
    nth: int = 0
    """At which occasion from its start."""
    handed_over: int = 0
    """Not before so many more files are handed over."""
    arrived: int = 0
    """Not before so many files are in the container."""
    allowance: int | None = None
    """How many files its producers may hand over; None: all."""


def deaths(count: int, kills: int, chance: Random) -> Iterator[Death]:
    """Plan: every other one at random.

    All is handed over long before it has arrived, so the first quarter of the deaths is for that time.
    """
    early = kills // 4
    share = count // early
    for kill in range(early):
        nth = chance.randrange(1, share)
        if kill % 2:
            yield Death(instant="queued", nth=nth, allowance=share)
        else:
            yield Death(handed_over=nth, allowance=share)
    hurting, share = cycle(HURTING), count // (kills - early)
    for kill in range(kills - early):
        nth = chance.randrange(1, share // 2)
        if kill % 2:
            yield Death(instant=next(hurting), nth=nth)
        else:
            yield Death(arrived=kill * share + nth)


async def is_time(death: Death, blob: Blob, place: Place, process: Process) -> None:
    """Wait for a death's moment; an uploader that ends before that has nothing left to do."""
    handed_over = place.handed_over + death.handed_over
    async with asyncio.timeout(900):
        while process.returncode is None and (
            place.handed_over < handed_over or len(blob._store.container("box").blobs) < death.arrived
        ):
            await asyncio.sleep(0.005)


async def suffer(blob: Blob, place: Place, kills: int, chance: Random, plant: str | None = None) -> list[str]:
    """Kill uploaders one after the other, let the last one finish, and return what is wrong."""
    wrong: list[str] = []
    for death in deaths(len(place.hashes), kills, chance):
        at_random = death.instant == AT_RANDOM
        told = {"die": None if at_random else death.instant, "nth": death.nth, "allowance": death.allowance}
        async with started(blob, place, **told, plant=plant) as process, asyncio.timeout(900):
            if at_random:
                await is_time(death, blob, place, process)
                await asyncio.sleep(chance.uniform(0, 0.1))
                process.kill()
            status = await process.wait()
        if status != -signal.SIGKILL:
            wrong.append(f"was not killed {death}, but ended with {status}")
        wrong += [f"deleted early: {name}" for name in place.gone - blob._store.container("box").blobs.keys()]
    blob.faults.clear()
    async with started(blob, place, plant=plant) as process, asyncio.timeout(900):
        status = await process.wait()
    if status != 0:
        wrong.append(f"the last one ended with {status}")
    found = holdings(blob)
    wrong += [f"not in the container: {name}" for name in place.hashes.keys() - found.keys()]
    wrong += [f"not what it was: {name}" for name in found if place.hashes.get(name) != found[name]]
    wrong += [f"left behind: {name}" for name in place.there]
    return wrong


def let_the_account_fail(blob: Blob) -> None:
    """Put off some writes for longer than an uploader lives, and lose the answers to others that were done."""
    blob.faults.add(StorageError("ServerBusy", retry_after=5), on="Put Blob", chance=0.01, seed=1)
    blob.faults.add(CutAnswer(), on="Put Blob", chance=0.01, seed=2)
    blob.faults.add(CutAnswer(), on="Put Block List", every=3)


async def test_each_file_is_in_the_container_once_and_nothing_is_left_or_deleted_early(tmp_path: Path) -> None:
    chance = Random(15_000)
    place = Place.filled(tmp_path, FILES, chance)
    async with Blob(containers=["box"]) as blob:
        let_the_account_fail(blob)
        wrong = await suffer(blob, place, KILLS, chance)

        assert wrong == []
        assert "fault of the uploader" not in (tmp_path / "log").read_text()
        assert {fired[0] for fired in blob.faults.fired} == {"StorageError", "CutAnswer"}
        async with started(blob, place) as process, asyncio.timeout(60):
            assert await process.wait() == 0
        assert blob.stats()["blobs"] == FILES
        _log.info("%s", blob.stats())


@nightly
@pytest.mark.parametrize(
    ("plant", "symptom"),
    [
        ("delete_before_commit", "deleted early"),
        ("return_before_it_is_durable", "not in the container"),
        ("forget_before_commit", "not in the container"),
        ("believe_what_was_not_confirmed", "deleted early"),
    ],
)
async def test_a_planted_defect_shows(tmp_path: Path, plant: str, symptom: str) -> None:
    chance = Random(7)
    place = Place.filled(tmp_path, 2_000, chance)
    async with Blob(containers=["box"]) as blob:
        let_the_account_fail(blob)
        wrong = await suffer(blob, place, 16, chance, plant)

    assert [fault for fault in wrong if fault.startswith(symptom)]
