"""Log records as text, for people."""

from __future__ import annotations

import logging

from penstock_logging_monitor._fields import added_fields
from penstock_logging_monitor._timestamps import Timestamps

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
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s")
        self._timestamps = Timestamps()
        self._colour = colour

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802  # the standard library's signature
        """Return when the record was made."""
        return self._timestamps.of(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the standard library's name
        """Return the line without its traceback."""
        added = "".join(f" {name}={_shown(value)}" for name, value in added_fields(record))
        level = f"{record.levelname:<8}"
        if self._colour:
            level = f"{_COLOURS.get(record.levelno, '')}{level}{_PLAIN}"
            added = f"{_FAINT}{added}{_PLAIN}" if added else ""
        return f"{record.asctime} {level} {record.name}: {record.message}{added}"


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text and text else repr(text)
