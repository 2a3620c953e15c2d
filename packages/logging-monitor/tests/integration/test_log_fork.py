"""A forked child writes a file of its own, and its end says nothing about its parent's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Logs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FAMILY = """
import logging, os, sys
from pathlib import Path
from penstock_logging_monitor import LogFileHandler, JsonFormatter, _lock

directory, process = Path(sys.argv[1]), sys.argv[2] or None
handler = LogFileHandler(directory, app="shop", process=process, max_bytes=400)
handler.setFormatter(JsonFormatter())
logging.basicConfig(level="INFO", handlers=[handler])

def is_locked(path):
    fd = _lock.claim(path, os.O_RDONLY)
    if fd is not None:
        os.close(fd)
    return fd is None

logging.info("parent before")
for number in range(3):
    child = os.fork()
    if not child:
        for line in range(5):
            logging.info(f"child {number} {line}")
        os._exit(0)
    os.waitpid(child, 0)
    assert is_locked(handler.path), "the child's end unlocked the parent's file"
logging.info("parent after")

path = handler.path
ready, alive = os.pipe(), os.pipe()
if not os.fork():
    os.close(alive[1])
    os.write(ready[1], b"!")
    os.read(alive[0], 1)  # lives on without a word for as long as the parent does
    os._exit(0)
os.read(ready[0], 1)
handler._series.abandon()  # what the parent's death would do
assert not is_locked(path), "the child kept the parent's file locked"
"""


@pytest.mark.parametrize("process", ["", "w"], ids=["named by pid", "named alike"])
def test_parent_and_children_never_share_a_file(logs: Logs, process: str) -> None:
    command = [sys.executable, "-c", FAMILY, str(logs.directory), process]
    subprocess.run(command, check=True, timeout=60)

    files = [logs.lines(logs.directory / name) for name in logs.names()]
    writers = {writer_of(header): set[str]() for header, *_ in files}
    for header, *records in files:
        writers[writer_of(header)] |= {record["message"].rpartition(" ")[0] for record in records}
    assert sorted(map(sorted, writers.values())) == [["child 0"], ["child 1"], ["child 2"], ["parent"]]
    assert sorted(logs.messages()) == sorted(
        [f"child {number} {line}" for number in range(3) for line in range(5)] + ["parent after", "parent before"]
    )


def writer_of(header: dict[str, Any]) -> str:
    return json.dumps([header["process"], header["start_ns"], header["pid"]])
