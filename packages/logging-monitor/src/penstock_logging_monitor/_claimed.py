"""A log file that nobody writes any more, and that this monitor alone may touch."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from penstock_logging_monitor import _lock
from penstock_logging_monitor._header import SCHEMA, Header, read_first_line
from penstock_logging_monitor._names import base36, blob_name, closed_name
from penstock_logging_monitor._scan import LogFacts, Trouble

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_OURS = b'{"schema":"' + SCHEMA.rpartition("/")[0].encode() + b"/"


class ClaimedLog:
    """A log file whose lock this monitor holds, as a context manager that gives the lock back.

    What is done to the file is done while the lock is held, removing it included: whoever gets the lock next finds that
    the name no longer leads to the file.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        line, header = read_first_line(fd)
        found = os.fstat(fd)
        trouble = _trouble_with(line, header)
        self.facts = LogFacts(path.name, found.st_size, None if trouble else header, len(line), found.st_mtime, trouble)

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """Take the file; None when its writer lives, or another monitor is at work on it.

        Raises:
            OSError: It cannot be opened or read; FileNotFoundError when it has moved on meanwhile.
        """
        fd = _lock.claim(path, os.O_RDONLY)
        if fd is None:
            return None
        try:
            return cls(path, fd)
        except OSError:
            os.close(fd)
            raise

    @property
    def inode(self) -> int:
        """The file's number in its file system: no two files that are there share it."""
        return os.fstat(self._fd).st_ino

    def adopt(self, header: Header) -> None:
        """Give a dead writer's current file an immutable name, so that a writer of its name can begin anew."""
        self.path = self.path.rename(self.path.with_name(closed_name(header, inode=self.inode)))
        self.facts = replace(self.facts, name=self.path.name)

    def move_to(self, folder: Path) -> Path:
        """Move the file into a folder of the same disk, under its name or, if that is taken, one like it."""
        folder.mkdir(exist_ok=True)
        place = folder / self.path.name
        if place.exists():
            place = folder / f"{self.path.stem}-{base36(self.inode)}{self.path.suffix}"
        self.path = self.path.rename(place)
        return place

    def remove(self) -> None:
        """Unlink the file."""
        self.path.unlink()

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _trouble_with(line: bytes, header: Header | None) -> Trouble | None:
    """Say what is wrong with a first line that is, or was to be, a header of ours."""
    if header:
        return None if _can_be_named(header) else Trouble.DAMAGED
    if not line.endswith(b"\n"):
        begun = line and (line.startswith(_OURS) or _OURS.startswith(line))
        return Trouble.HALF_WRITTEN if begun else None
    if not line.startswith(_OURS):
        return None
    return Trouble.NEWER if _is_of_another_version(line) else Trouble.DAMAGED


def _is_of_another_version(line: bytes) -> bool:
    try:
        facts = json.loads(line)
    except ValueError:
        return False
    return isinstance(facts, dict) and facts.get("schema") != SCHEMA


def _can_be_named(header: Header) -> bool:
    """Say whether names can be made of a header: a number in it may be beyond any calendar."""
    if min(header.start_ns, header.opened_ns, header.seq) < 0:
        return False
    try:
        blob_name(header)
    except (ValueError, OverflowError, OSError):
        return False
    return True
