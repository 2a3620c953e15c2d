"""An account kept in a directory: bytes in files, and records of what they are in SQLite.

A record is written after the bytes it is about, in one step; so what a killed process left half done is part of no
record, and goes at the next start. Blocks that were not committed go, too.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from penstock_local_azure._errors import DirectoryUnavailable

from ._content import Content
from ._files import Bodies, FileWriter, StoredFile
from ._medium import Writer
from ._records import Block, Container, Description, StoredBlob

_VERSION: Final = 1
_SETTINGS: Final = ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = OFF")
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS containers (name TEXT PRIMARY KEY, record TEXT)",
    "CREATE TABLE IF NOT EXISTS blobs (container TEXT, name BLOB, record TEXT, PRIMARY KEY (container, name))",
    f"PRAGMA user_version = {_VERSION}",
)


class Directory:
    """Keeps an account in a directory. One process at a time can use it.

    Args:
        folder: Where; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: tuple[Bodies, sqlite3.Connection] | None = None

    def open(self) -> Iterable[Container]:
        """Take the directory, and return what is in it.

        Raises:
            DirectoryUnavailable: It is in use, cannot be written, or holds something else, or what a newer version
                kept.
        """
        try:
            bodies = Bodies(self._folder / "bodies")
            records = _connect(self._folder / "records.sqlite")
        except (OSError, sqlite3.Error) as error:
            raise DirectoryUnavailable(self._folder, error) from error
        self._opened = bodies, records
        found, files = _read(records, bodies)
        bodies.sweep(files)
        return found

    def close(self) -> None:
        """Give the directory free."""
        if self._opened is not None:
            bodies, records = self._opened
            bodies.close()
            records.close()
            self._opened = None

    def writer(self, length: int) -> Writer:
        """A writer for a body of so many bytes."""
        bodies, _ = self._in_use()
        return FileWriter(StoredFile(bodies, uuid4().hex, length))

    def save_container(self, container: Container) -> None:
        """Keep what is said of a container, beside what it holds."""
        record = {"metadata": dict(container.metadata), "etag": container.etag, "modified": container.modified}
        self._write("REPLACE INTO containers VALUES (?, ?)", container.name, json.dumps(record))

    def drop_container(self, name: str) -> None:
        """Forget a container and all it holds."""
        self._write("DELETE FROM blobs WHERE container = ?", name)
        self._write("DELETE FROM containers WHERE name = ?", name)

    def save_blob(self, container: str, name: str, blob: StoredBlob) -> None:
        """Keep a blob in place of any that has its name."""
        self._write("REPLACE INTO blobs VALUES (?, ?, ?)", container, _key(name), json.dumps(_blob_record(blob)))

    def drop_blob(self, container: str, name: str) -> None:
        """Forget a blob."""
        self._write("DELETE FROM blobs WHERE container = ? AND name = ?", container, _key(name))

    def _in_use(self) -> tuple[Bodies, sqlite3.Connection]:
        if self._opened is None:
            raise FileNotFoundError(f"{self._folder} is not open")
        return self._opened

    def _write(self, statement: str, *values: object) -> None:
        _, records = self._in_use()
        try:
            records.execute(statement, values)
        except sqlite3.Error as error:
            raise OSError(f"cannot write {self._folder}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open the records, for this process alone."""
    records = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        _prepare(records)
    except BaseException:
        records.close()
        raise
    return records


def _prepare(records: sqlite3.Connection) -> None:
    """Lock the records for as long as they are open, and make the tables if they are new."""
    for setting in _SETTINGS:
        records.execute(f"PRAGMA {setting}")
    records.execute("BEGIN EXCLUSIVE")
    (version,) = records.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise sqlite3.DatabaseError(f"it has format {version}, and this version reads format {_VERSION}")
    for statement in _SCHEMA:
        records.execute(statement)
    records.execute("COMMIT")


def _read(records: sqlite3.Connection, bodies: Bodies) -> tuple[list[Container], set[str]]:
    """Read all records; the names of the files they are about come beside them."""
    found = {
        name: Container(name=name, **json.loads(record))
        for name, record in records.execute("SELECT name, record FROM containers")
    }
    files: dict[str, StoredFile] = {}
    for home, key, record in records.execute("SELECT container, name, record FROM blobs ORDER BY container, name"):
        name = key.decode("utf-8", "surrogateescape")
        found[home].blobs[name] = _read_blob(json.loads(record), bodies, files)
        found[home].names.append(name)
    return list(found.values()), set(files)


def _key(name: str) -> bytes:
    """A blob's name as it travels: whatever bytes clients put into it, and in the order of code points."""
    return name.encode("utf-8", "surrogateescape")


def _blob_record(blob: StoredBlob) -> dict[str, Any]:
    return {
        "settings": blob.description.settings,
        "metadata": dict(blob.description.metadata),
        "etag": blob.etag,
        "created": blob.created,
        "modified": blob.modified,
        "files": _extents(blob.content),
        "blocks": [{"id": block.id, "files": _extents(block.content)} for block in blob.blocks],
    }


def _extents(content: Content) -> list[tuple[str, int]]:
    return [(part.name, len(part)) for part in content.parts if isinstance(part, StoredFile)]


def _read_blob(record: Mapping[str, Any], bodies: Bodies, files: dict[str, StoredFile]) -> StoredBlob:
    def content(extents: Iterable[tuple[str, int]]) -> Content:
        for name, length in extents:
            if name not in files:  # one object for each file: it goes with the last one
                files[name] = StoredFile(bodies, name, length)
        return Content(*(files[name] for name, _ in extents))

    return StoredBlob(
        content=content(record["files"]),
        description=Description(record["settings"], record["metadata"]),
        etag=record["etag"],
        created=record["created"],
        modified=record["modified"],
        blocks=tuple(Block(one["id"], content(one["files"])) for one in record["blocks"]),
    )
