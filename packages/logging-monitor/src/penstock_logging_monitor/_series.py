"""The log files of one writer, one after the other: opens, rotates, looks after, retires."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock_logging_monitor._writer import CurrentFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock_logging_monitor._header import Header
    from penstock_logging_monitor._rotation import RotationRule

_LOOK_EVERY = 1.0  # seconds between looks whether the file is still at its name
_REOPEN_AFTER = 1.0  # seconds between attempts to open a file: a full disk must cost the application next to nothing


class FileSeries:
    """Every file that one writer fills. Not thread-safe: its handler holds a lock around every call.

    Args:
        directory: Directory of the log files.
        header: Header of the first file.
        rule: When a file is full.
        clock_ns: Epoch nanoseconds.
        monotonic: Seconds.
        on_refused_rotation: Called once each time that a full file cannot be renamed, and is written on instead.
    """

    def __init__(
        self,
        directory: Path,
        header: Header,
        *,
        rule: RotationRule,
        clock_ns: Callable[[], int],
        monotonic: Callable[[], float],
        on_refused_rotation: Callable[[OSError], None],
    ) -> None:
        self.file: CurrentFile | None = None
        self.opened = 0
        self.stolen = 0
        self._directory = directory
        self._next_header = header
        self._rule = rule
        self._clock_ns = clock_ns
        self._monotonic = monotonic
        self._on_refused_rotation = on_refused_rotation
        self._rotation_refused = False
        self._look_at = 0.0
        self._reopen_at = 0.0
        self._open_error: OSError | None = None

    @property
    def header(self) -> Header:
        """The header of the file being written, or to be written next."""
        return self.file.header if self.file else self._next_header

    def append(self, data: bytes) -> None:
        """Write ``data`` into the file it belongs to.

        Raises:
            OSError: The data was not written.
        """
        file = self._file_still_there() or self.open()
        now_ns = self._clock_ns()
        if self._rule.is_due(
            opened_ns=file.header.opened_ns,
            now_ns=now_ns,
            size=file.size,
            has_records=file.has_records,
            incoming=len(data),
        ):
            file = self._rotate(file)
        file.append(data)

    def open(self) -> CurrentFile:
        """Open the next file.

        Raises:
            OSError: It cannot be opened; until a second has passed, the error of the last attempt.
        """
        now = self._monotonic()
        if self._open_error and now < self._reopen_at:
            raise self._open_error
        try:
            self.file = CurrentFile.open(self._directory, replace(self._next_header, opened_ns=self._clock_ns()))
        except OSError as error:
            self._open_error, self._reopen_at = error, now + _REOPEN_AFTER
            raise
        self._open_error = None
        self._look_at = now + _LOOK_EVERY
        self.opened += 1
        return self.file

    def end_file(self) -> None:
        """Close the current file, if there is one, under its immutable name.

        Raises:
            OSError: It cannot be renamed. It is closed all the same: a monitor will find it.
        """
        if self.file is None:
            return
        try:
            self.file.retire()
        finally:
            self._leave(self.file)

    def abandon(self) -> None:
        """Close the descriptor and nothing else: the file belongs to the process that this one was forked from."""
        if self.file:
            self._leave(self.file)

    def _file_still_there(self) -> CurrentFile | None:
        """Return the current file, unless the look taken once a second finds it gone from its name."""
        file, now = self.file, self._monotonic()
        if file is None or now < self._look_at:
            return file
        self._look_at = now + _LOOK_EVERY
        if _is_there(file):
            return file
        self.stolen += 1
        self._leave(file)
        return None

    def _rotate(self, file: CurrentFile) -> CurrentFile:
        """Go on in a new file, or in the old one if the directory does not let us rename it."""
        try:
            file.retire()
        except OSError as error:
            if not self._rotation_refused:
                self._on_refused_rotation(error)
            self._rotation_refused = True
            return file
        self._rotation_refused = False
        self._next_header = replace(file.header, seq=file.header.seq + 1)
        self.file = None
        try:
            return self.open()
        finally:
            file.close()  # only now: until the new file is locked, the old lock says that we live

    def _leave(self, file: CurrentFile) -> None:
        self.file = None
        self._next_header = replace(file.header, seq=file.header.seq + 1)
        file.close()


def _is_there(file: CurrentFile) -> bool:
    try:
        return file.is_at_its_name()
    except OSError:  # we may not look, which is no reason to stop writing
        return True
