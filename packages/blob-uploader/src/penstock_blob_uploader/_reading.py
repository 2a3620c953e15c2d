"""Reading a file so that what is sent is what is hashed, and a file that changes meanwhile is noticed.

Everything here blocks and is called in a thread. The digest is taken over the very bytes that are sent, so no blob can
ever state a wrong one; comparing size, modification time and inode afterwards keeps out files caught half-written.
"""

import errno
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from penstock_blob_uploader._errors import (
    FileChangedError,
    FileUnreadableError,
    FileVanishedError,
    NotAFileError,
    UnavailableError,
    UploadError,
)

AS_GZIP = 16 + zlib.MAX_WBITS
"""Tells zlib to write gzip: without name or time, so that equal files give equal bytes."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What tells a file and its state apart from others without reading it.

    The device is not part of it: its number may change when the machine restarts, and a journal outlives that.
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Self:
        """Take the three facts out of a stat result."""
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ino)


@dataclass(frozen=True, slots=True)
class Content:
    """A whole file in memory, with its digests."""

    data: bytes
    """The file, or what it is compressed to."""
    sha256: str
    """Of the file."""
    md5: bytes
    """Of ``data``."""


def examine(path: Path) -> Snapshot:
    """Look at a file before it is queued.

    Raises:
        SourceError: It is not there, no regular file, or must not be looked at.
    """
    with _file_errors(path):
        facts = path.stat()
    _require_regular(path, facts)
    return Snapshot.of(facts)


def read_whole(path: Path, expected: Snapshot, *, gzip: bool = False) -> Content:
    """Read a small file at once, and compress it if asked to.

    Raises:
        SourceError: It cannot be read, or is not as ``expected``.
    """
    with Blocks(path, expected, block_size=expected.size + 1) as blocks:
        data = b"".join(blocks)
    if gzip:
        data = zlib.compress(data, wbits=AS_GZIP)
    return Content(data=data, sha256=blocks.sha256, md5=hashlib.md5(data, usedforsecurity=False).digest())


def delete(path: Path, expected: Snapshot) -> None:
    """Delete an uploaded file, unless something else stands under its name by now. That it is gone already is fine.

    Raises:
        SourceError: It is not as ``expected``, or cannot be deleted; it is kept.
    """
    with suppress(FileVanishedError):
        if examine(path) != expected:
            raise FileChangedError(f"{path} was written to or replaced after its upload; it is kept.")
        with _file_errors(path):
            path.unlink()


class Blocks:
    """A file read block by block, from its beginning to a checked end. Iterating it reads.

    It opens the file at the first read. A lock keeps `close` from overtaking a read that its caller no longer awaits.
    """

    def __init__(self, path: Path, expected: Snapshot, *, block_size: int) -> None:
        self._path = path
        self._expected = expected
        self._block_size = block_size
        self._digest = hashlib.sha256()
        self._length = 0
        self._file: BinaryIO | None = None
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Read to the end; see `next_block`."""
        return iter(self.next_block, b"")

    @property
    def sha256(self) -> str:
        """Hex digest of everything read so far."""
        return self._digest.hexdigest()

    @property
    def length(self) -> int:
        """Bytes read so far."""
        return self._length

    def next_block(self) -> bytes:
        """Return the next block; ``b""`` once, after the end was reached and the file found as it was expected.

        Raises:
            SourceError: It cannot be read, or is not as expected.
        """
        with self._lock:
            file = self._opened()
            with _file_errors(self._path):
                data = file.read(self._block_size)
            self._digest.update(data)
            self._length += len(data)
            if not data or self._length > self._expected.size:
                self._require_unchanged(file)
            return data

    def close(self) -> None:
        """Close the file, when a read that is under way has ended."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()

    def _opened(self) -> BinaryIO:
        """Open the file at the first read."""
        if self._closed:
            raise FileUnreadableError(f"{self._path} is no longer being read.")
        if self._file is None:
            self._file = _opened(self._path)
        return self._file

    def _require_unchanged(self, file: BinaryIO) -> None:
        """Compare what was read, what is open and what the path names with what was expected."""
        as_read = self._length == self._expected.size and Snapshot.of(os.fstat(file.fileno())) == self._expected
        if not as_read or examine(self._path) != self._expected:
            raise FileChangedError(
                f"{self._path} was written to or replaced after it was handed over ({self._expected.size} bytes then, "
                f"{self._length} read): hand over files that are finished."
            )


def _opened(path: Path) -> BinaryIO:
    """Open a regular file for unbuffered reading; a pipe put in its place must not block the open."""
    with _file_errors(path):
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:  # before it becomes a file of Python's, which refuses a directory in its own words
        _require_regular(path, os.fstat(descriptor))
    except UploadError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb", closefd=True)  # noqa: PTH123 - a descriptor is no path


def _require_regular(path: Path, facts: os.stat_result) -> None:
    """Refuse what is no regular file."""
    if not stat.S_ISREG(facts.st_mode):
        raise NotAFileError(
            f"{path} is no regular file but {_kind_of(facts.st_mode)}: only regular files can be uploaded."
        )


def _kind_of(mode: int) -> str:
    """Name what a mode stands for."""
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Say in our words what the operating system says about a file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileVanishedError(f"{path} does not exist, or no longer.") from error
    except IsADirectoryError as error:
        raise NotAFileError(f"{path} is a directory: only regular files can be uploaded.") from error
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise UnavailableError(f"{path} cannot be read just now: {error.strerror}.") from error
        raise FileUnreadableError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise FileUnreadableError("The path holds a NUL character, so it names no file.") from error
