"""The first line of every log file: which process wrote it, where, and since when.

Everything that must be known of a file whose writer is dead stands in this line, so that nothing is ever read out of a
file name. A process id is only information here: in containers every writer is process 1.
"""

from __future__ import annotations

import functools
import json
import os
import socket
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

SCHEMA = "penstock-log/1"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_LONGEST = 64 * 1024  # bytes to read for a first line
_REQUIRED = {"app": str, "process": str, "host": str, "start_ns": int, "opened_ns": int, "seq": int}


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Who writes a log file.

    Attributes:
        app: Name of the application, as configured.
        process: Name of the process; live namesakes in one directory are told apart by ``~1``, ``~2``, ...
        host: Host name.
        boot_id: Identity of the running kernel: equal in all its containers, another after a reboot.
        pid: Process id, inside its own process-id namespace.
        pid_ns: Identity of that namespace, where the system has one.
        process_started: When the process started, in epoch seconds.
        start_ns: When the process began to write logs, in epoch nanoseconds. With ``process`` it names one writer.
        opened_ns: When this file was opened, in epoch nanoseconds.
        seq: Number of the file among its writer's, from 0.
        version: Version of this package.
        schema: Name and major version of this format.
    """

    schema: str = SCHEMA
    app: str
    process: str
    host: str
    boot_id: str = ""
    pid: int = 0
    pid_ns: int | None = None
    process_started: float | None = None
    start_ns: int
    opened_ns: int
    seq: int
    version: str = ""

    def line(self) -> bytes:
        """Return the header as the first line of a file."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"


def parse_header(line: bytes) -> Header | None:
    """Read a header; None when the line is not one, or of a major version this reader does not know.

    Unknown fields are ignored, so that later minor versions can add some.
    """
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA or not _is_complete(facts):
        return None
    known = {field.name for field in fields(Header)}
    return Header(**{name: value for name, value in facts.items() if name in known})


def read_first_line(fd: int) -> tuple[bytes, Header | None]:
    """Return a file's first line, with its line feed, and the header that it is, if it is one."""
    os.lseek(fd, 0, os.SEEK_SET)
    line, feed, _ = os.read(fd, _LONGEST).partition(b"\n")
    return line + feed, parse_header(line) if feed else None


def describe_process(app: str, process: str, now_ns: int) -> Header:
    """Return the header of the first file that this process opens."""
    return Header(
        app=app,
        process=process,
        host=socket.gethostname(),
        boot_id=boot_id(),
        pid=os.getpid(),
        pid_ns=_pid_namespace(),
        process_started=_process_started(),
        start_ns=now_ns,
        opened_ns=now_ns,
        seq=0,
        version=version("penstock-logging-monitor"),
    )


def _is_complete(facts: dict[str, Any]) -> bool:
    return all(type(facts.get(name)) is kind for name, kind in _REQUIRED.items())


@functools.cache
def boot_id() -> str:
    """Return the identity of the running kernel."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux: the time of the boot names it just as well
        return f"boot-{int(psutil.boot_time())}"


def _process_started() -> float | None:
    try:
        return psutil.Process().create_time()
    except (psutil.Error, OSError):  # /proc may be closed to us; who we are does not depend on it
        return None


def _pid_namespace() -> int | None:
    try:
        return _PID_NAMESPACE.stat().st_ino
    except OSError:  # not Linux
        return None
