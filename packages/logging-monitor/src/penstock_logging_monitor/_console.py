"""The process's standard streams as a place for log records."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

from penstock_logging_monitor._json_format import JsonFormatter
from penstock_logging_monitor._text_format import TextFormatter

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_logging_monitor._context import ContextFilter


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream, without secrets, and with nothing in them that the stream cannot encode.

    Args:
        stream: Where to.
        redact: Cuts secrets out of a line; None: nothing is cut.
    """

    def __init__(self, stream: TextIO, redact: Callable[[str], str] | None) -> None:
        super().__init__(stream)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the text to write."""
        text = super().format(record)
        if self._redact:
            text = self._redact(text)
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)


def text_console(redact: Callable[[str], str] | None, context: ContextFilter) -> ConsoleHandler:
    """Return a handler for text on standard error, in colour on a terminal unless ``NO_COLOR`` is set."""
    handler = ConsoleHandler(sys.stderr, redact)
    handler.addFilter(context)
    handler.setFormatter(TextFormatter(colour=_is_colourful(sys.stderr)))
    return handler


def json_console(redact: Callable[[str], str] | None, context: ContextFilter) -> ConsoleHandler:
    """Return a handler for flat JSON on standard output."""
    handler = ConsoleHandler(sys.stdout, redact)
    handler.addFilter(context)
    handler.setFormatter(JsonFormatter())
    return handler


def is_on_console(handler: logging.Handler) -> bool:
    """Say whether a handler writes to a standard stream."""
    return isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stderr, sys.stdout)


def _is_colourful(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
