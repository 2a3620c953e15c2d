"""The log files of one writer, one after the other: opens, rotates, looks after, retires."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock_logging_monitor._rotation import is_another_day, next_look_ns
from penstock_logging_monitor._writer import CurrentFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock_logging_monitor._header import Header

_REOPEN_AFTER = 1.0  # seconds between attempts to open a file: a full disk must cost the application next to nothing


class FileSeries:
    """Every file that one writer fills. Not thread-safe: its handler holds a lock around every call.

    Args:
        directory: Directory of the log files.
        header: Header of the first file.
        max_bytes: About how many bytes a file may grow to; a larger record still goes into a file of its own, whole.
        clock_ns: Epoch nanoseconds.
        monotonic: Seconds; decides when to try again to open a file.
        on_refused_rotation: Called once each time that a full file cannot be renamed, and is written on instead.
    """

    def __init__(
        self,
        directory: Path,
        header: Header,
        *,
        max_bytes: int,
        clock_ns: Callable[[], int],
        monotonic: Callable[[], float],
        on_refused_rotation: Callable[[OSError], None],
    ) -> None:
        self.file: CurrentFile | None = None
        self.opened = 0
        self.stolen = 0
        self._directory = directory
        self._next_header = header
        self._max_bytes = max_bytes
        self._clock_ns = clock_ns
        self._monotonic = monotonic
        self._on_refused_rotation = on_refused_rotation
        self._rotation_refused = False
        self._looked_ns = self._look_ns = 0
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
        file, clock_ns = self.file, self._clock_ns
        now_ns = clock_ns()
        if file is None or not self._looked_ns <= now_ns < self._look_ns:  # a clock stepped back is a reason to look
            file = self._look(now_ns)
        if file.size + len(data) > self._max_bytes and file.has_records:
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

    def _look(self, now_ns: int) -> CurrentFile:
        """Return the file for the records of now: the current one if it is still at its name and of this day."""
        file = self.file
        if file and not _is_there(file):
            self.stolen += 1
            self._leave(file)
        file = self.file or self.open()
        if is_another_day(file.header.opened_ns, now_ns):
            file = self._rotate(file)
        self._looked_ns, self._look_ns = now_ns, next_look_ns(now_ns)
        return file

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
