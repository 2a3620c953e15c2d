"""Every acknowledged line arrives exactly once, though writers and monitors are killed; and the check can fail."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork, SIGKILL and flock")

HARNESS = Path(__file__).with_name("log_kills.py")


@dataclass
class Account:
    acknowledged: set[tuple[int, int]]
    found: Counter[tuple[int, int]]
    mixed_files: int

    @property
    def missing(self) -> set[tuple[int, int]]:
        return self.acknowledged - self.found.keys()

    @property
    def doubled(self) -> set[tuple[int, int]]:
        return {line for line, count in self.found.items() if count > 1}


def run_harness(directory: Path, *, lines: int, seed: int = 1, mutant: str = "") -> dict[str, int]:
    environment = {**os.environ, "PENSTOCK_LOG_MUTANT": mutant}
    command = [sys.executable, str(HARNESS), str(directory), str(lines), str(seed)]
    done = subprocess.run(command, env=environment, check=True, timeout=120, stdout=subprocess.PIPE)
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def account(directory: Path) -> Account:
    acknowledged = {
        (int(note.name), seq)
        for note in (directory / "acknowledged").iterdir()
        for seq in range(_number_in(note.read_bytes()))
    }
    found: Counter[tuple[int, int]] = Counter()
    mixed_files = 0
    for path in (directory / "archive").rglob("*.log.gz"):
        lines = _whole_records(path)
        found.update(lines)
        mixed_files += len({writer for writer, _ in lines}) > 1
    return Account(acknowledged, found, mixed_files)


def _number_in(note: bytes) -> int:
    return int(struct.unpack("<q", note)[0]) if note else 0


def _whole_records(path: Path) -> list[tuple[int, int]]:
    content = gzip.decompress(path.read_bytes())
    header, *lines = content.split(b"\n")[:-1]  # behind the last line feed stands nothing, or a torn line
    assert json.loads(header)["schema"] == "penstock-log/1"
    records = [json.loads(line) for line in lines]
    return [(record["writer"], record["seq"]) for record in records if "writer" in record]


def test_every_acknowledged_line_is_archived_exactly_once_under_random_kills(tmp_path: Path) -> None:
    counts = run_harness(tmp_path, lines=800)
    result = account(tmp_path)

    assert counts["writers"] > 60
    assert len(result.acknowledged) >= 800
    assert result.missing == set()
    assert result.doubled == set()
    assert result.mixed_files == 0
    assert counts["staying"] == 0


@pytest.mark.parametrize(
    ("mutant", "caught_as"),
    [("no-inode-check", "missing"), ("random-names", "doubled")],
)
def test_a_planted_defect_is_caught(tmp_path: Path, mutant: str, caught_as: str) -> None:
    for attempt in range(4):  # a race is lost by chance; the harness must lose one before long
        directory = tmp_path / str(attempt)
        run_harness(directory, lines=400, seed=attempt, mutant=mutant)
        if getattr(account(directory), caught_as):
            return
    pytest.fail(f"no line was found {caught_as} with the defect {mutant}")
