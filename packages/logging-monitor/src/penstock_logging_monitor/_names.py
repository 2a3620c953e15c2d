"""Names of log files and of the blobs they become; pure functions of the header.

A current file is named for people (``{app}-{process}.current.log``), a closed one also for uniqueness
(``{app}-{process}__{day}.{host}-{start}-{seq}-{inode}.log``). The blob name is fixed by the header alone, before the
upload: any monitor that ships the file, however often, arrives at the same one, and create-only writing keeps it so.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_logging_monitor._header import Header

LOG = ".log"
CURRENT = ".current.log"

_UNSAFE = re.compile(r"[^A-Za-z0-9._~+-]")
_LONGEST_PART = 80  # characters: two parts and the suffixes stay below the 255 bytes of a file name
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def current_name(app: str, process: str) -> str:
    """Return the name of the file that a live process writes."""
    return f"{_part(app)}-{_part(process)}{CURRENT}"


def closed_name(header: Header, *, inode: int) -> str:
    """Return the immutable name of a closed file.

    The ``inode`` is what no two files share that are there at once. Start and sequence tell one writer's files apart,
    but a clock that is set back may start a namesake at the same moment, and a hand-made copy has its original's
    header: neither must be renamed over the other.
    """
    host = hashlib.sha256(header.host.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    prefix = f"{_part(header.app)}-{_part(header.process)}__{_opened(header):%Y-%m-%d}"
    return f"{prefix}.{host}-{base36(header.start_ns)}-{header.seq}-{base36(inode)}{LOG}"


def set_aside_name(name: str, *, inode: int) -> str:
    """Return the name under which a current file without our header makes way for a writer of that name."""
    return f"{name.removesuffix(CURRENT)}__unknown.{base36(inode)}{LOG}"


def blob_name(header: Header, extension: str = "") -> str:
    """Return where the file belongs in the archive.

    The day stands right after the app: a day is listed, or expired by a lifecycle rule, through one prefix.
    """
    opened = _opened(header)
    folder = folder_of(header.app, f"{opened:%Y-%m-%d}", header.host, header.process)
    return f"{folder}/{opened:%H%M%S}-{base36(header.start_ns)}-{header.seq}{LOG}{extension}"


def folder_of(app: str, day: str, host: str, process: str) -> str:
    """Return the folder of the archive for a process's files of a day."""
    parts = {"app": app, "date": day, "host": host, "process": process}
    return "/".join(f"{key}={_segment(value)}" for key, value in parts.items())


def conflict_name(name: str, sha256: str) -> str:
    """Return the blob name for a file whose own name is taken by other content."""
    stem, dot, extension = name.rpartition(LOG)
    return f"{stem}.conflict-{sha256[:8]}{dot}{extension}"


def content_name(name: str, sha256: str) -> str:
    """Return the blob name for a file where what is there cannot be compared: who finds it taken knows by what."""
    stem, dot, extension = name.rpartition(LOG)
    return f"{stem}-{sha256[:16]}{dot}{extension}"


def is_log(name: str) -> bool:
    """Say whether a directory entry is a log file."""
    return name.endswith(LOG)


def is_current(name: str) -> bool:
    """Say whether a log file is one that a process writes, or wrote until it died."""
    return name.endswith(CURRENT)


def base36(number: int) -> str:
    """Write a number >= 0 with digits and lower-case letters."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if number == 0:
            return digits


def _part(text: str) -> str:
    return _UNSAFE.sub("_", text)[:_LONGEST_PART]


def _segment(text: str) -> str:
    """Make a part fit to stand before a slash: Blob Storage refuses a dot there."""
    part = _part(text)
    return part[:-1] + "_" if part.endswith(".") else part


def _opened(header: Header) -> datetime:
    return datetime.fromtimestamp(header.opened_ns // 1_000_000_000, tz=UTC)
