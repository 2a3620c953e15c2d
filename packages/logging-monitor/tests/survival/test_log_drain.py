"""Workers and monitor are told to stop at once, the workers write on, and the directory goes with the monitor.

As in a pod: all containers get SIGTERM together, and the volume is deleted when the last of them has ended.
`PENSTOCK_SURVIVAL` is "quick" (4 s of writing on) or "full" (20 s).
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs flock and SIGTERM")

WRITES_ON, DRAIN = (20.0, 28.0) if os.environ.get("PENSTOCK_SURVIVAL") == "full" else (4.0, 20.0)
WORKER = """
import logging, os, signal, struct, sys, time
from penstock_logging_monitor import configure_logging

directory, process, seconds, how_it_ends = sys.argv[1:]
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(time.monotonic()))
configure_logging(logs_dir=directory + "/logs", app="shop", process=process, max_bytes=50_000, console=False)
note = os.open(f"{directory}/{process}.acknowledged", os.O_CREAT | os.O_WRONLY)
seq = 0
while not told or time.monotonic() < told[0] + float(seconds):
    logging.info("line", extra={"writer": process, "seq": seq})
    seq += 1
    os.pwrite(note, struct.pack("<q", seq), 0)
    if seq == 100:
        print("at work", flush=True)
    time.sleep(0.001)
if how_it_ends == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Keeps processes from outliving the test."""
    with ExitStack() as stack:
        yield stack


def start(processes: ExitStack, *command: str) -> subprocess.Popen[str]:
    """Start a program, and wait until it says that it is at work."""
    running = processes.enter_context(
        subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    )
    processes.callback(running.kill)
    assert running.stdout is not None
    assert running.stdout.readline()
    return running


def test_nothing_is_lost_when_the_directory_goes_with_the_monitor(tmp_path: Path, processes: ExitStack) -> None:
    where = ["--logs-dir", str(tmp_path / "logs"), "--target", str(tmp_path / "archive")]
    monitor = start(processes, "-m", "penstock_logging_monitor", "run", *where, "--drain", str(DRAIN))
    workers = [
        start(processes, "-c", WORKER, str(tmp_path), "leaves", str(WRITES_ON), "in good order"),
        start(processes, "-c", WORKER, str(tmp_path), "killed", str(WRITES_ON), "killed"),
        start(processes, "-c", WORKER, str(tmp_path), "early", "0", "in good order"),
    ]

    told = time.monotonic()
    for running in (monitor, *workers):
        running.send_signal(signal.SIGTERM)
    monitor.communicate(timeout=DRAIN + 30)
    seconds = time.monotonic() - told
    shutil.rmtree(tmp_path / "logs")

    assert monitor.returncode == 0
    assert WRITES_ON < seconds < DRAIN
    assert [worker.wait(timeout=30) for worker in workers] == [0, -signal.SIGKILL, 0]
    assert archived(tmp_path) == Counter(acknowledged(tmp_path))


def acknowledged(directory: Path) -> Iterator[tuple[str, int]]:
    for note in directory.glob("*.acknowledged"):
        (count,) = struct.unpack("<q", note.read_bytes())
        for seq in range(count):
            yield note.stem, seq


def archived(directory: Path) -> Counter[tuple[str, int]]:
    contents = [gzip.decompress(path.read_bytes()) for path in (directory / "archive").rglob("*.log.gz")]
    records = [json.loads(line) for content in contents for line in content.splitlines()[1:]]
    return Counter((record["writer"], record["seq"]) for record in records)
