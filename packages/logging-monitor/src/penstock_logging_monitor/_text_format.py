"""Log records as text, for people."""

from __future__ import annotations

import logging

from penstock_logging_monitor._timestamps import Timestamps


class TextFormatter(logging.Formatter):
    """Writes ``time level logger: message``, the time in UTC; an exception's traceback follows on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s")
        self._timestamps = Timestamps()

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802  # the standard library's signature
        """Return when the record was made."""
        return self._timestamps.of(record.created)
