"""Every line whose log call returned is archived exactly once, though writers and monitors are killed at any moment.

`PENSTOCK_SURVIVAL` is "quick" (10 s) or "full" (10 minutes). Each planted defect of `log_mutants.py` must show.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob.aio import ContainerClient

from penstock_local_azure import Blob, CorruptBody, CutAnswer, CutRequest, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork, SIGKILL and flock")

_log = logging.getLogger(__name__)

HARNESS = Path(__file__).with_name("log_kills.py")
SECONDS = 600.0 if os.environ.get("PENSTOCK_SURVIVAL") == "full" else 10.0
VICTIMS = 60
ATTEMPTS = 8  # at which a defect must have shown: so few may live and die on a busy machine that one shows nothing
CLEARING_UP = 120.0 + 2 * SECONDS  # at most: who is killed all the time leaves nearly all for the last monitor
RARELY = 0.005  # of the uploads, for each fault; what the SDK waits after one keeps the last monitor from clearing up
UNSHARE = ["unshare", "--user", "--pid", "--fork", "true"]


@dataclass
class Account:
    """What the archive holds, against what writers know to be written.

    Attributes:
        acknowledged: By writer, how many of its lines it knows written.
        found: By writer, the numbers of its lines in the archive.
        damaged: Whole lines that are not what a writer wrote.
        mixed: Files with lines of more than one writer.
        torn: Files that end within a line.
        files: Files in the archive.
        staying: Files with whole lines that are still where they were written.
    """

    acknowledged: dict[str, int]
    found: dict[str, Counter[int]] = field(default_factory=dict)
    damaged: int = 0
    mixed: int = 0
    torn: int = 0
    files: int = 0
    staying: int = 0

    @property
    def missing(self) -> set[tuple[str, int]]:
        """Lines that a writer knows written and that are not in the archive."""
        return {
            (writer, seq)
            for writer, count in self.acknowledged.items()
            for seq in set(range(count)) - self.found.get(writer, Counter()).keys()
        }

    @property
    def doubled(self) -> set[tuple[str, int]]:
        """Lines that are in the archive more than once."""
        return {(writer, seq) for writer, seqs in self.found.items() for seq, count in seqs.items() if count > 1}

    def read(self, content: bytes) -> None:
        """Take in an archived file."""
        self.files += 1
        header, *lines = gzip.decompress(content).split(b"\n")
        if b'"schema":"penstock-log/1"' not in header or not lines:
            self.damaged += 1
            return
        self.torn += lines.pop() != b""
        writers = {self._read_line(line) for line in lines}
        self.mixed += len(writers) > 1

    def _read_line(self, line: bytes) -> str | None:
        try:
            record = json.loads(line)
            writer, seq, text = (
                record["writer"],
                record["seq"],
                f"{record['writer']} {record['seq']} {record['padding']}",
            )
        except (ValueError, KeyError):
            self.damaged += 1
            return None
        self.damaged += zlib.crc32(text.encode()) != record["crc"]
        self.found.setdefault(writer, Counter())[seq] += 1
        return str(writer)


@dataclass
class Run:
    """A run of the harness: its own counts, and the account of what arrived."""

    counts: dict[str, Any]
    account: Account

    @property
    def faults(self) -> dict[str, int]:
        """What should be nothing at all."""
        found = {
            "missing": len(self.account.missing),
            "doubled": len(self.account.doubled),
            "damaged": self.account.damaged,
            "mixed": self.account.mixed,
            "staying": self.account.staying,
        }
        return {name: count for name, count in found.items() if count}


def run_harness(directory: Path, **settings: Any) -> dict[str, Any]:
    """Let it kill, and be sure that nobody survives it."""
    asked = json.dumps({"directory": str(directory), "clearing_up": CLEARING_UP, **settings})
    command = [sys.executable, str(HARNESS), asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as harness:
        try:
            output, _ = harness.communicate(timeout=settings["seconds"] + CLEARING_UP + 120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(harness.pid, signal.SIGKILL)
    assert harness.returncode == 0
    counts: dict[str, Any] = json.loads(output)
    return counts


def judge(directory: Path, counts: dict[str, Any], archive: Iterator[bytes]) -> Run:
    """Compare what arrived with what was acknowledged."""
    notes = {note.name: note.read_bytes() for note in (directory / "acknowledged").iterdir()}
    account = Account({writer: int(struct.unpack("<q", note)[0]) for writer, note in notes.items() if note})
    for content in archive:
        account.read(content)
    account.staying = sum(b"\n" in path.read_bytes() for path in (directory / "logs").rglob("*.log"))
    run = Run(counts, account)
    _log.info(
        "%s; %d lines in %d files, %d torn", counts, sum(account.acknowledged.values()), account.files, account.torn
    )
    return run


def killed(directory: Path, **settings: Any) -> Run:
    """Run the harness into a directory, and judge."""
    counts = run_harness(directory, **settings)
    return judge(directory, counts, (path.read_bytes() for path in (directory / "archive").rglob("*.log.gz")))


@pytest.fixture
def namespaces() -> None:
    """Skip where a process may not have a pid namespace of its own."""
    try:
        subprocess.run(UNSHARE, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"pid namespaces are not allowed here: {error}")


def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    run = killed(tmp_path, seconds=SECONDS, writers=100, victims=VICTIMS)

    assert run.faults == {}
    assert run.counts["kills"] >= VICTIMS
    assert run.account.torn > 0


@pytest.mark.usefixtures("namespaces")
def test_nothing_is_lost_or_doubled_when_every_process_is_number_one(tmp_path: Path) -> None:
    run = killed(tmp_path, seconds=SECONDS, writers=100, victims=VICTIMS, namespaces=True)

    assert run.faults == {}
    assert run.counts["kills"] >= VICTIMS


FAULTS: list[Any] = [
    CutAnswer(after=0),  # it is stored, and nobody is told
    CutRequest(),
    CorruptBody(),
    StorageError("ServerBusy"),
    StorageError("OperationTimedOut"),
]


async def test_nothing_is_lost_or_doubled_on_the_way_to_blob_storage(tmp_path: Path) -> None:
    async with Blob(containers=["archive"]) as azure:
        for number, fault in enumerate(FAULTS):
            azure.faults.add(fault, on="Put Blob", nth=5 * number + 5)
            azure.faults.add(fault, on="Put Blob", chance=RARELY, seed=number)
        counts = await asyncio.to_thread(
            run_harness,
            tmp_path,
            seconds=SECONDS,
            writers=100,
            victims=VICTIMS,
            connection_string=azure.connection_string,
        )
        azure.faults.clear()
        async with ContainerClient.from_connection_string(azure.connection_string, "archive") as archive:
            names = [blob.name async for blob in archive.list_blobs()]
            contents = [await (await archive.download_blob(name)).readall() for name in names]

    run = judge(tmp_path, counts, iter(contents))
    assert run.faults == {}
    assert run.counts["kills"] >= VICTIMS
    assert {fault for fault, _, _ in azure.faults.fired} == {type(fault).__name__ for fault in FAULTS}


@dataclass(frozen=True)
class Defect:
    """What shows a planted defect, and what makes the race wide that it opens."""

    mutant: str
    shows_as: str
    wide: dict[str, Any] = field(default_factory=dict)


MANY_FILES = {"max_bytes": 3_000, "kills": 5.0, "dies": 0.005, "writers": 40}
LONG_LIVES = {"kills": 5.0, "dies": 0.005, "writers": 40}
DEFECTS = [
    Defect("no inode check", "missing", {"writer_hesitates": 0.1, **MANY_FILES}),
    Defect("random names", "doubled", {"fails": 0.3, **MANY_FILES}),
    Defect("appends to dead files", "mixed", {"scan_interval": 0.5}),
    Defect("closed files unlocked", "missing", {"packing_takes": 0.1, **MANY_FILES}),
    Defect("locks ignored", "missing", LONG_LIVES),
    Defect("removed unshipped", "missing", {"fails": 0.3, **MANY_FILES}),
    Defect("buffered", "missing"),
    Defect("child unlocks", "missing", {"forks": 0.3, **LONG_LIVES}),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.mutant)
def test_a_planted_defect_shows(tmp_path: Path, defect: Defect) -> None:
    settings = {"seconds": 2, "writers": 80, "mutant": defect.mutant, **defect.wide}

    runs = (killed(tmp_path / str(seed), **settings, seed=seed) for seed in range(1, ATTEMPTS + 1))

    assert any(defect.shows_as in run.faults for run in runs)


def test_wide_races_without_a_defect_show_nothing(tmp_path: Path) -> None:
    wide = {name: value for defect in DEFECTS for name, value in defect.wide.items() if name not in LONG_LIVES}

    run = killed(tmp_path, seconds=4, writers=80, **wide)

    assert run.faults == {}


@pytest.mark.usefixtures("namespaces")
def test_process_ids_prove_nothing_where_every_process_is_number_one(tmp_path: Path) -> None:
    run = killed(tmp_path, seconds=2, writers=80, mutant="process ids for locks", namespaces=True, clearing_up=1)

    assert "staying" in run.faults
