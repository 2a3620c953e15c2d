"""The command: ships until it is told to stop, waits for those who still write, and says what stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Logs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs flock and SIGTERM")

WRITER = """
import logging, sys
from penstock_logging_monitor import configure_logging
configure_logging(logs_dir=sys.argv[1], app="shop", process="slow", console=False)
for line in sys.stdin:
    logging.info(line.strip())
    print("logged", flush=True)
"""


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program whose output we read and whose input we write, and that does not outlive the test."""
    running = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def monitor(logs: Logs, archive: Path, drain: str, *more: str) -> list[str]:
    where = ["--logs-dir", str(logs.directory), "--target", str(archive)]
    return ["-m", "penstock_logging_monitor", "run", *where, "--scan-interval", "0.05", "--drain", drain, *more]


def say(writer: subprocess.Popen[str], message: str) -> None:
    """Have the writer log a message, and wait until it has."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(message + "\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "logged\n"


def first_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline()


def test_after_sigterm_it_waits_for_a_writer_that_goes_on(logs: Logs, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with process("-c", WRITER, str(logs.directory)) as writer, process(*monitor(logs, archive, "30")) as shipping:
        assert "shipping to directory" in first_line(shipping)
        say(writer, "before the signal")

        shipping.send_signal(signal.SIGTERM)
        say(writer, "after the signal")
        writer.communicate(timeout=20)  # ends its input, and so the writer
        output, _ = shipping.communicate(timeout=20)

    assert shipping.returncode == 0
    assert "0 stay" in output
    assert logs.names() == []
    assert logs.messages("*.gz", below=archive) == ["before the signal", "after the signal"]


def test_a_writer_that_was_killed_is_no_reason_to_wait(logs: Logs, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with process("-c", WRITER, str(logs.directory)) as writer, process(*monitor(logs, archive, "30")) as shipping:
        first_line(shipping)
        say(writer, "last words")

        writer.kill()
        writer.wait(timeout=20)
        shipping.send_signal(signal.SIGTERM)
        shipping.communicate(timeout=20)

    assert logs.messages("*.gz", below=archive) == ["last words"]


def test_when_its_time_is_up_it_says_what_stays(logs: Logs, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with process("-c", WRITER, str(logs.directory)) as writer, process(*monitor(logs, archive, "0.2")) as shipping:
        first_line(shipping)
        say(writer, "still writing")

        shipping.send_signal(signal.SIGTERM)
        output, _ = shipping.communicate(timeout=20)

    assert shipping.returncode == 0
    assert "1 stay" in output
    assert "shop-slow.current.log" in output


def test_what_cannot_be_shipped_as_it_is_delays_no_stop_and_is_told(logs: Logs, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    log = logs.dead_writer("refused")
    content = log.read_bytes()
    for taken in ("", ".conflict-"):  # other content takes the name in the archive, and then the one beside it
        asyncio.run(ship(logs, archive))
        (arrived,) = (path for path in archive.rglob("*.gz") if taken in path.name and path.stat().st_size)
        arrived.write_bytes(b"")
        log.write_bytes(content)
    (logs.directory / "shop-damaged.current.log").write_bytes(b'{"schema":"penstock-log/1","app":')

    with process(*monitor(logs, archive, "3600")) as shipping:
        first_line(shipping)
        shipping.send_signal(signal.SIGTERM)
        output, _ = shipping.communicate(timeout=120)

    assert shipping.returncode == 1
    assert "shipped 0 files; 1 stay" in output
    assert "look at 1 of them, which the archive refuses for good, and at 1 in " in output.splitlines()[-1]
    assert logs.messages("shop-w__*.log") == ["refused"]


async def ship(logs: Logs, archive: Path) -> None:
    service = logs.monitor(archive)
    await service.initialize()
    assert await service.shutdown(drain=60) == []


def test_names_that_no_terminal_can_show_are_shown_escaped(logs: Logs, tmp_path: Path) -> None:
    logs.directory.mkdir()
    for name in (b"caf\xe9.log", b"new\nline.log"):
        Path(os.fsdecode(os.fsencode(logs.directory) + b"/" + name)).write_text("not ours\n")

    with process(*monitor(logs, tmp_path / "archive", "30")) as shipping:
        first_line(shipping)
        shipping.send_signal(signal.SIGTERM)
        output, errors = shipping.communicate(timeout=20)

    assert shipping.returncode == 0
    assert sorted(output.splitlines()[1:]) == ["  caf\\udce9.log", "  new\\nline.log"]
    assert errors == ""


def test_while_it_runs_it_can_be_scraped(logs: Logs, tmp_path: Path) -> None:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    archive = tmp_path / "archive"
    logs.dead_writer("last words")

    with process(*monitor(logs, archive, "30", "--metrics", port)) as shipping:
        first_line(shipping)
        deadline = time.monotonic() + 20
        while "penstock_logs_adopted_files_total 1.0" not in (text := scrape(port)):
            assert time.monotonic() < deadline, text
            time.sleep(0.02)
        shipping.send_signal(signal.SIGTERM)
        shipping.communicate(timeout=20)

    assert shipping.returncode == 0
    assert logs.messages("*.gz", below=archive) == ["last words"]


def scrape(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text
