"""Thousands of files that wait: shipping begins at once, memory stays flat, and nobody who logs now waits for them.

`PENSTOCK_SURVIVAL` is "quick" (it looks on for ten seconds) or "full" (until all are shipped).
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from penstock_logging_monitor import JsonFormatter, LogFileHandler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs flock")

_log = logging.getLogger(__name__)

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
FILES = 20_000
SECONDS = 10.0
FIRST = 1.0  # seconds until the first file is in the archive; not asked of a quick run, which may find the machine busy
MEMORY = 32 * 1024 * 1024  # bytes, above what the monitor needs when the first file has arrived
SOON = 1 / 3  # of all that arrive, those that may come before one that was closed just now: as many as in one look


class OneFileEach:
    """A process that closes a file after each record."""

    def __init__(self, logs: Path, process: str) -> None:
        self._handler = LogFileHandler(logs, app="shop", process=process, max_bytes=1)
        self._handler.setFormatter(JsonFormatter())
        self._process = process
        self.closed: dict[str, float] = {}

    def log(self) -> None:
        facts = {"msg": f"{self._process} {len(self.closed)}", "levelname": "INFO"}
        self._handler.handle(logging.makeLogRecord(facts))
        self._handler.close_file()
        self.closed[facts["msg"]] = time.time()


@contextmanager
def monitor(logs: Path, archive: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a monitor, from when it has begun to look."""
    where = ["--logs-dir", str(logs), "--target", str(archive), "--drain", "1", "--scan-interval", "0.2"]
    command = [sys.executable, "-m", "penstock_logging_monitor", "run", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert "shipping to" in running.stdout.readline()
            yield running
        finally:
            running.kill()


def test_a_backlog_is_worked_off_and_holds_up_nobody(tmp_path: Path) -> None:
    logs, archive = tmp_path / "logs", tmp_path / "archive"
    backlog, living = OneFileEach(logs, "backlog"), OneFileEach(logs, "living")
    for _ in range(FILES):
        backlog.log()

    with monitor(logs, archive) as running:
        begun, memory = time.monotonic(), []
        while not any(archive.rglob("*.gz")):
            time.sleep(0.005)
        first, waited = time.monotonic() - begun, len(list(logs.glob("*-backlog__*")))
        while time.monotonic() < begun + SECONDS or (FULL and any(logs.glob("*-backlog__*"))):
            living.log()
            memory.append(psutil.Process(running.pid).memory_info().rss)
            time.sleep(0.1)
        waiting = len(list(logs.glob("*-backlog__*")))
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)

    arrived, when = archived(archive)
    overtaken = [passed(when, closed, when.get(message)) for message, closed in living.closed.items()]
    _log.info(
        "first after %.2f s, %d wait, at most %d of %d came in between", first, waiting, max(overtaken), len(when)
    )
    _log.info("memory from %d to %d KiB", memory[0] // 1024, max(memory) // 1024)
    assert waiting == 0 if FULL else waiting > len(living.closed)
    assert first < FIRST if FULL else waited > 0.9 * FILES
    assert max(memory) - memory[0] < MEMORY
    assert max(overtaken) < SOON * len(when)
    assert set(arrived.values()) == {1}
    assert arrived.keys() | remaining(logs) == backlog.closed.keys() | living.closed.keys()


def archived(archive: Path) -> tuple[Counter[str], dict[str, float]]:
    """Return how often each message arrived, and when."""
    arrived: Counter[str] = Counter()
    when: dict[str, float] = {}
    for path in archive.rglob("*.gz"):
        for message in messages(gzip.decompress(path.read_bytes())):
            arrived[message] += 1
            when[message] = path.stat().st_mtime
    return arrived, when


def passed(when: dict[str, float], closed: float, arrived: float | None) -> int:
    """Return how many files arrived from when one was closed until it arrived, or until the end."""
    return sum(closed < each < (arrived or math.inf) for each in when.values())


def remaining(logs: Path) -> set[str]:
    return {message for path in logs.glob("*.log") for message in messages(path.read_bytes())}


def messages(content: bytes) -> list[str]:
    return [json.loads(line)["message"] for line in content.splitlines()[1:]]
