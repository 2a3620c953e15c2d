"""A directory as archive: another disk, a mounted share, or a test's temporary folder."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from penstock_logging_monitor._errors import LogMonitorError, NameTakenError
from penstock_logging_monitor._staging import EXTENSION
from penstock_logging_monitor._target import Arrival
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping


class DirectoryTarget:
    """Stores files below a directory, with ``/`` in names as folders.

    A file is copied beside its place and then linked into it, which fails where the name exists: readers see whole
    files only, and none is ever replaced. Metadata is not kept: whoever has the file can count and hash it, as is done
    here with one that has the name already.

    Args:
        root: The directory; made if missing. Its file system must know hard links.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root).absolute()

    async def open(self) -> None:
        """Make the directory."""
        await in_thread(self._root.mkdir, parents=True, exist_ok=True)

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
        """Copy a file to its place, unless it is there already.

        Raises:
            NameTakenError: Other content has this name.
            LogMonitorError: The directory cannot be written.
            OSError: The file cannot be read.
        """
        return await in_thread(self._copy, path, name, metadata["raw_sha256"])

    async def check(self) -> str:
        """Try to write; return what was found.

        Raises:
            OSError: It cannot be written.
        """

        def write() -> None:
            with tempfile.TemporaryDirectory(dir=self._root, prefix=".") as folder:
                one = Path(folder) / "file"
                one.touch()
                (Path(folder) / "link").hardlink_to(one)

        await in_thread(write)
        return "files can be written and linked"

    async def close(self) -> None:
        """There is nothing to close."""

    def __str__(self) -> str:
        return f"directory {self._root}"

    def _copy(self, source: Path, name: str, raw_sha256: str) -> Arrival:
        with source.open("rb") as file:  # what cannot be read is the file's trouble, all else the directory's
            try:
                return _copy_once(file, self._root / name, name, raw_sha256)
            except OSError as error:
                raise LogMonitorError(
                    f"cannot write into the archive {self._root} ({error.strerror}): make room there, or give this "
                    "user the right to write",
                    environment=True,
                ) from error


def _copy_once(file: BinaryIO, place: Path, name: str, raw_sha256: str) -> Arrival:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".", suffix=".part") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        Path(copy.name).chmod(stat.S_IMODE(os.fstat(file.fileno()).st_mode))  # temporary files are nobody else's
        try:
            place.hardlink_to(copy.name)
        except FileExistsError:
            if _hash_of_log(place) == raw_sha256:
                return Arrival.SAME
            raise NameTakenError(name) from None
    return Arrival.CREATED


def _hash_of_log(place: Path) -> str | None:
    """Return the SHA-256 of an archived log as it was written; None: it is damaged."""
    try:
        with gzip.open(place) if place.suffix == EXTENSION["gzip"] else place.open("rb") as log:
            return hashlib.file_digest(log, "sha256").hexdigest()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return None
