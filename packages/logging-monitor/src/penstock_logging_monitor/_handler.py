"""The handler that writes a process's own log files.

A record leaves with one system call, while the caller waits: nothing is buffered in the process, so nothing is lost
when it is killed. Rotation only renames; compressing and shipping are the monitor's.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_logging_monitor import _fork
from penstock_logging_monitor._header import describe_process
from penstock_logging_monitor._json_format import JsonFormatter
from penstock_logging_monitor._losses import Losses, say
from penstock_logging_monitor._redaction import redact_secrets
from penstock_logging_monitor._series import FileSeries
from penstock_logging_monitor._text_format import TextFormatter

if TYPE_CHECKING:
    from penstock_logging_monitor._context import ContextFilter
    from penstock_logging_monitor._header import Header

MAX_BYTES = 16 * 1024 * 1024
_FORK_WAITS = 1.0  # seconds for a record that another thread is writing while this one forks

_Line = Callable[[logging.LogRecord, Callable[[str], str] | None], str]
_FORMATS = (JsonFormatter.format, TextFormatter.format)  # a class that has another must be asked for it

_handlers: weakref.WeakSet[LogFileHandler] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What a handler has done in this process.

    Attributes:
        written: Records in files.
        lost: Records that could not be written, by reason (``ENOSPC``, ``EACCES``, ``format``, ...).
        files: Files opened.
        stolen: How often the current file was found gone, or another in its place.
    """

    written: int
    lost: dict[str, int]
    files: int
    stolen: int


class LogFileHandler(logging.Handler):
    """Writes records to ``{app}-{process}.current.log``, which stays locked for as long as this process lives.

    Trouble with the disk never reaches the application: the record is counted as lost, standard error says so once, and
    a record that tells how many were lost follows as soon as the file can be written again.

    Args:
        logs_dir: Directory of the log files; made if missing. It belongs on a local disk.
        app: Name of the application.
        process: Name of the process; None: ``worker-{pid}``, which every forked child has for itself.
        max_bytes: About how many bytes a file may grow to.
        redact: Cuts secrets out of each line. None: lines are written as they are.
        context: Adds to each record the context it is logged in.
        clock_ns: Epoch nanoseconds; decides days and start times, and when to look after the file.
        monotonic: Seconds; decides when to try again to open a file.
    """

    def __init__(
        self,
        logs_dir: str | os.PathLike[str],
        *,
        app: str,
        process: str | None = None,
        max_bytes: int = MAX_BYTES,
        redact: Callable[[str], str] | None = redact_secrets,
        context: ContextFilter | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        self._directory = Path(logs_dir).absolute()
        self._app = app
        self._process = process
        self._max_bytes = max_bytes
        self._redact = redact
        self._context = context
        self._line_of: _Line = self._any_line
        self._clock_ns = clock_ns
        self._monotonic = monotonic
        self._held_for_fork = False
        self._begin()
        _handlers.add(self)
        _fork.watch(self)
        try:
            self._series.open()  # early: trouble shows at the start, and a monitor sees the process alive
        except OSError as error:
            self._losses.warn(error)

    @property
    def header(self) -> Header:
        """The header of the file being written, or written next; ``process`` and ``start_ns`` name this writer."""
        return self._series.header

    @property
    def path(self) -> Path | None:
        """The file being written; None while there is none."""
        return self._series.file.path if self._series.file else None

    def statistics(self) -> WriterStatistics:
        """Return what this handler has done in this process."""
        return WriterStatistics(self._written, dict(self._losses.by_reason), self._series.opened, self._series.stolen)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802  # the standard library's name
        """Set what makes lines of records."""
        super().setFormatter(fmt)
        if isinstance(fmt, (JsonFormatter, TextFormatter)) and type(fmt).format in _FORMATS:
            self._line_of = fmt.line
        else:
            self._line_of = self._any_line

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and write one record, as the standard library's handlers do in twice the calls."""
        if self.filters:
            passed: bool | logging.LogRecord = self.filter(record)
            if not passed:
                return False
            record = passed if isinstance(passed, logging.LogRecord) else record
        with self.lock:  # type: ignore[union-attr]  # None only in handlers that need none
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; called with the handler's lock held."""
        try:
            if self._context:
                self._context.filter(record)
            line_of = self._line_of  # to call a function that is an attribute is slower
            # A lone surrogate cannot be UTF-8; as \udcxx it stays readable, and is what JSON itself would write.
            data = line_of(record, self._redact).encode("utf-8", "backslashreplace")
        except Exception:  # noqa: BLE001  # a record that cannot be formatted: logging's own rule, which shows it
            self._losses.by_reason["format"] += 1
            self.handleError(record)
            return
        try:
            self._series.append(data)
        except OSError as error:
            self._losses.add(error)
            return
        self._written += 1
        if self._losses.in_trouble:
            self._tell_losses(self._losses.end_episode())

    def _any_line(self, record: logging.LogRecord, redact: Callable[[str], str] | None) -> str:
        """Return what a formatter of somebody else's makes of the record, redacted."""
        line = self.format(record)
        return f"{redact(line) if redact else line}\n"

    def close_file(self) -> None:
        """Close the current file under its immutable name, ready to be shipped; the next record opens another."""
        self.acquire()
        try:
            self._series.end_file()
        except OSError as error:
            self._losses.warn(error)
        finally:
            self.release()

    def close(self) -> None:
        """Close the current file; this happens at exit, too."""
        self.close_file()
        super().close()

    def before_fork(self) -> None:
        """Wait for a record in flight, so that the child does not inherit half a rotation; not for ever, though."""
        self._held_for_fork = bool(self.lock and self.lock.acquire(timeout=_FORK_WAITS))

    def after_fork_in_parent(self) -> None:
        """Go on writing."""
        if self._held_for_fork and self.lock:
            self.lock.release()

    def after_fork_in_child(self) -> None:
        """Leave the parent its file; the next record opens one of the child's own."""
        self._series.abandon()
        self._begin()  # logging itself has already renewed the lock

    def _begin(self) -> None:
        """Become a new writer, as yet without a file."""
        now_ns = self._clock_ns()
        self._written = 0
        self._losses = Losses()
        self._series = FileSeries(
            self._directory,
            describe_process(self._app, self._process or f"worker-{os.getpid()}", now_ns),
            max_bytes=self._max_bytes,
            clock_ns=self._clock_ns,
            monotonic=self._monotonic,
            on_refused_rotation=lambda error: say(f"cannot rotate the log file, and go on in it: {error}"),
        )

    def _tell_losses(self, lost: int) -> None:
        """Put into the log itself how many records are missing from it."""
        if lost:
            text = "%d log records could not be written and are lost"
            self.emit(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lost,), None))


@atexit.register
def _close_all() -> None:
    """Close every file at exit, as logging does unless `logging.config` has struck the handler off its list since."""
    for handler in list(_handlers):
        handler.close()


def files_of_this_process() -> set[tuple[int, int]]:
    """Return device and inode of every log file that this very process is writing."""
    writing = [handler._series.file for handler in list(_handlers)]  # noqa: SLF001  # the module's own class
    return {file.identity for file in writing if file}
