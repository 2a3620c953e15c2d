"""Files of another user, for real: the monitor may not open them, and everything else goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_logging_monitor import JsonFormatter, LogFileHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Logs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs flock and users")

MONITOR = """
import asyncio, os, sys
from penstock_logging_monitor import LogMonitorService

async def run(logs, archive):
    service = LogMonitorService(logs, target=archive, scan_interval=0.01)
    await service.initialize()
    staying = await service.shutdown(drain=3600)
    print(*staying, service.statistics().unreadable, service.statistics().created)

asyncio.run(run(sys.argv[1] + "/none", sys.argv[1] + "/none"))  # loads what the next user may not be able to
if os.geteuid() == 0:
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
asyncio.run(run(sys.argv[1] + "/logs", sys.argv[1] + "/archive"))
"""


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that every user may write to, the way to it included."""
    folder = Path(tempfile.mkdtemp())
    for place in (folder, folder / "logs", folder / "archive"):
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_they_are_told_once_with_a_remedy_and_hold_up_neither_shipping_nor_stopping(
    everybodys: Path, logs: Logs
) -> None:
    logs.directory = everybodys / "logs"
    for process in ("theirs", "ours"):
        handler = LogFileHandler(logs.directory, app="shop", process=process)
        handler.setFormatter(JsonFormatter())
        logs.say(handler, process)
        handler.close()
    (theirs,) = logs.directory.glob("shop-theirs__*")
    (ours,) = logs.directory.glob("shop-ours__*")
    ours.chmod(0o644)
    theirs.chmod(0o600 if os.geteuid() == 0 else 0)

    command = [sys.executable, "-c", MONITOR, str(everybodys)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == f"0 0\n{theirs.name} 1 1\n"
    assert done.stderr.count(theirs.name) == 1
    assert "run the monitor as the user who writes there" in done.stderr
    assert logs.messages("*.gz", below=everybodys / "archive") == ["ours"]
