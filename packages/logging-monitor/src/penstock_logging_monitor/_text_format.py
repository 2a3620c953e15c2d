"""Log records as text, for people."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from penstock_logging_monitor._fields import ATTRIBUTES, added_fields
from penstock_logging_monitor._timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN, _FAINT = "\x1b[0m", "\x1b[2m"
_COLOURS = {
    logging.DEBUG: "\x1b[34m",
    logging.INFO: "\x1b[32m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}


class TextFormatter(logging.Formatter):
    """Writes ``time level logger: message name=value``, the time in UTC, with the record's extra attributes at the end.

    An exception's traceback follows on lines of its own.

    Args:
        colour: Colour the level by its severity, for a terminal.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._timestamps = Timestamps()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, and its traceback below."""
        return self.line(record, None)[:-1]

    def line(self, record: logging.LogRecord, redact: Callable[[str], str] | None) -> str:
        """Return the text and its line's end, redacted from the message on: no secret stands before it."""
        level = f"{record.levelname:<8}"
        if self._colour:
            level = f"{_COLOURS.get(record.levelno, '')}{level}{_PLAIN}"
        rest = record.getMessage()
        if len(record.__dict__) > ATTRIBUTES:
            rest += self._added(record)
        if record.exc_info or record.exc_text or record.stack_info:
            rest = "\n".join([rest, *self._below(record)])
        if redact:
            rest = redact(rest)
        return f"{self._timestamps.of(record.created)} {level} {record.name}: {rest}\n"

    def _added(self, record: logging.LogRecord) -> str:
        shown = "".join([f" {name}={_shown(value)}" for name, value in added_fields(record)])
        return f"{_FAINT}{shown}{_PLAIN}" if shown and self._colour else shown

    def _below(self, record: logging.LogRecord) -> Iterator[str]:
        if record.exc_info and record.exc_info[0] is not None:
            yield self.formatException(record.exc_info)
        elif record.exc_text:  # the record crossed a process border: only the text came along
            yield record.exc_text
        if record.stack_info:
            yield self.formatStack(record.stack_info)


def _shown(value: object) -> str:
    """Write a value so that its end is seen: in quotes if there are spaces or worse in it."""
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)
