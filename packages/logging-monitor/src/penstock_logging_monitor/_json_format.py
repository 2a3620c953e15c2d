"""Log records as flat JSON: one object a line."""

from __future__ import annotations

import json
import logging
from typing import Any

from penstock_logging_monitor._timestamps import Timestamps

_BUILT_IN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LINE_ENDS = {end: f"\\u{end:04x}" for end in (0x85, 0x2028, 0x2029)}  # JSON lets them stand, many readers split there
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode


class JsonFormatter(logging.Formatter):
    """Writes ``ts``, ``level``, ``logger``, ``message``, and the record's extra attributes as fields beside them.

    ``ts`` is UTC with microseconds. An exception adds ``exc_type``, ``exc_message`` and ``exc_traceback``;
    ``stack_info`` adds ``stack``. An extra named like one of these gets an underscore behind its name. What JSON cannot
    hold is written as text.
    """

    def __init__(self) -> None:
        super().__init__()
        self._timestamps = Timestamps()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        fields: dict[str, Any] = {
            "ts": self._timestamps.of(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info or record.exc_text or record.stack_info:
            self._add_exception(fields, record)
        for name, value in record.__dict__.items():
            if name not in _BUILT_IN:
                fields[_free(name, fields)] = value
        return _to_json(fields)

    def _add_exception(self, fields: dict[str, Any], record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_type"] = record.exc_info[0].__qualname__
            fields["exc_message"] = str(record.exc_info[1])
            fields["exc_traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:  # the record crossed a process border: only the text came along
            fields["exc_traceback"] = record.exc_text
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)


def _free(name: str, fields: dict[str, Any]) -> str:
    while name in fields:
        name += "_"
    return name


def _to_json(fields: dict[str, Any]) -> str:
    try:
        line = _encode(fields)
    except (TypeError, ValueError):  # a key that is no string, not-a-number, a circle
        line = _encode({name: _plain(value) for name, value in fields.items()})
    return line if line.isascii() else line.translate(_LINE_ENDS)


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, bool)) or value is None else repr(value)
