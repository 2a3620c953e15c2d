"""The journal's file: an SQLite database that one process holds. Everything here blocks, in the thread that owns it.

A transaction is durable when it ends: write-ahead log, synced at each commit. The exclusive lock is SQLite's own and
ends with the process, however that ends. Never open the file by other means in the process that uses it: on POSIX
systems, closing it anew would let go of the lock.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from penstock_blob_uploader._errors import JournalError
from penstock_blob_uploader._intents import Arrived, Change, Finished, Intent, PutOff, Queued, read, written

VERSION: Final = 1
"""Of the format. Readers ignore what they do not know inside an order, and refuse other versions."""

_APPLICATION: Final = 0x50535550  # "PSUP", by which SQLite files tell whose they are

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE target (address TEXT NOT NULL);
CREATE TABLE uploads (
    ticket INTEGER PRIMARY KEY, written TEXT NOT NULL, checksum INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, arrived INTEGER NOT NULL DEFAULT 0
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""

_READ_ONLY: Final = "it is read-only: name a file that can be written, in a directory that can be written"
_DAMAGED: Final = "it is damaged: move it away and hand over the files in question again, they are untouched"
_REMEDIES: Final = {
    "SQLITE_BUSY": "another uploader uses it: stop that one, or name another file",
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": "the disk is full: make room",
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": "it cannot be opened: name a file that can be written, in a directory that can be written",
    "SQLITE_IOERR": "the disk refuses to read or write it: see that it is well and has room",
}


class JournalFile:
    """Owns a journal from its construction to `close`.

    Args:
        path: The file; it is made if it is missing, and so is its directory.
        target: The address of the container that the uploads are for.

    Raises:
        JournalError: It cannot be used; nothing of it was changed.
    """

    def __init__(self, path: Path, target: str) -> None:
        self._path = path
        _make(path)
        if not os.access(path, os.W_OK):
            raise self._error(_READ_ONLY)
        with self._errors():
            self._database = sqlite3.connect(_address(path), uri=True, timeout=0, isolation_level=None)
        try:
            with self._errors():
                self._prepare()
            self._aim(target)
        except JournalError:
            self.close()
            raise

    def read(self) -> list[Intent]:
        """Return what is to be done, in the order in which it came in.

        Raises:
            JournalError: It is damaged.
        """
        with self._errors():
            rows = self._database.execute(
                "SELECT ticket, written, checksum, failures, not_before, arrived FROM uploads ORDER BY ticket"
            ).fetchall()
        try:
            return [
                Intent(ticket, read(text, checksum), failures, not_before, bool(arrived))
                for ticket, text, checksum, failures, not_before, arrived in rows
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._error(_DAMAGED) from error

    def write(self, changes: Iterable[Change]) -> None:
        """Make changes durable: all of them or none.

        Raises:
            JournalError: None of them is.
        """
        with self._errors(), self._transaction():
            for change in changes:
                self._apply(change)

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):  # what is durable is so in the write-ahead log; a full disk cannot move it
            self._database.close()

    def _prepare(self) -> None:
        """Take the lock, and make the file a journal or see that it is one."""
        execute = self._database.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA synchronous = FULL")
        ((tables,),) = execute("SELECT count(*) FROM sqlite_master")
        ((application,),) = execute("PRAGMA application_id")
        ((version,),) = execute("PRAGMA user_version")
        is_new = not (tables or application or version)
        if not is_new and application != _APPLICATION:
            raise self._error("it is a database of something else: name another file")
        if not is_new and version != VERSION:
            raise self._error(
                f"it is written in version {version} of the format and this uploader knows {VERSION}: use the uploader "
                "that wrote it, or name another file"
            )
        execute("PRAGMA journal_mode = WAL")
        if is_new:
            self._database.executescript(_SCHEMA)
        ((verdict,),) = execute("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise self._error(_DAMAGED)

    def _aim(self, target: str) -> None:
        """See that what is to be done is meant for this container; note it, which shows that writing works."""
        with self._errors():
            others = [address for (address,) in self._database.execute("SELECT address FROM target")]
            ((left,),) = self._database.execute("SELECT count(*) FROM uploads")
        if left and target not in others:
            raise self._error(
                f"it holds {left} uploads for {', '.join(others)}, not for {target}: let an uploader for that address "
                "finish them, or name another file"
            )
        with self._errors(), self._transaction():
            self._database.execute("DELETE FROM target")
            self._database.execute("INSERT INTO target VALUES (?)", (target,))

    def _apply(self, change: Change) -> None:
        """Write one change down."""
        execute = self._database.execute
        match change:
            case Queued(ticket, order):
                execute("INSERT INTO uploads (ticket, written, checksum) VALUES (?, ?, ?)", (ticket, *written(order)))
            case PutOff(ticket, failures, not_before):
                execute(
                    "UPDATE uploads SET failures = ?, not_before = ? WHERE ticket = ?", (failures, not_before, ticket)
                )
            case Arrived(ticket):
                execute("UPDATE uploads SET arrived = 1 WHERE ticket = ?", (ticket,))
            case Finished(ticket):
                execute("DELETE FROM uploads WHERE ticket = ?", (ticket,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit at the end; undo if that, or anything before, fails."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in our words what SQLite says."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            kind = "_".join(code.split("_")[:2])  # without the details of an extended code
            raise self._error(_REMEDIES.get(kind, f"{type(error).__name__} {code}".rstrip())) from error

    def _error(self, remedy: str) -> JournalError:
        return JournalError(f"The journal {self._path} cannot be used: {remedy}.")


def _address(path: Path) -> str:
    """Return the URI that opens the file so that the first look at it takes the whole lock or none of it.

    SQLite's usual way is to share the lock while it looks and to ask for all of it later: of two processes that start
    at once each would look, and be refused because the other does. Windows has no other way, so there it may happen.
    """
    return path.absolute().as_uri() + ("" if os.name == "nt" else "?vfs=unix-excl")


def _make(path: Path) -> None:
    """Make an empty file that only we may read, for it names files and blobs; leave one that is there alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be made ({error.strerror}): name a file in a directory that can be written."
        ) from error
    except ValueError as error:
        raise JournalError("The journal's path holds a NUL character, so it names no file.") from error
