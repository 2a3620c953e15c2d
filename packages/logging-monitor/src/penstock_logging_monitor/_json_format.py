"""Log records as flat JSON: one object a line."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock_logging_monitor._fields import added_fields
from penstock_logging_monitor._timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_ENDS = {end: f"\\u{end:04x}" for end in (0x85, 0x2028, 0x2029)}  # JSON lets them stand, many readers split there
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode


class JsonFormatter(logging.Formatter):
    """Writes ``ts``, ``level``, ``logger``, ``message``, and the record's extra attributes as fields beside them.

    ``ts`` is UTC with microseconds. An exception adds ``exc_type``, ``exc_message`` and ``exc_traceback``;
    ``stack_info`` adds ``stack``. An extra named like one of these gets an underscore behind its name. What JSON cannot
    hold is written as text. Where orjson is installed it does the encoding: quicker, and not-a-number is null.
    """

    def __init__(self) -> None:
        super().__init__()
        self._timestamps = Timestamps()
        self._quick = _orjson()

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
        for name, value in added_fields(record):
            fields[name if name not in fields else _free(name, fields)] = value
        line = self._to_json(fields)
        return line if line.isascii() else line.translate(_LINE_ENDS)

    def _add_exception(self, fields: dict[str, Any], record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_type"] = record.exc_info[0].__qualname__
            fields["exc_message"] = str(record.exc_info[1])
            fields["exc_traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:  # the record crossed a process border: only the text came along
            fields["exc_traceback"] = record.exc_text
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)

    def _to_json(self, fields: dict[str, Any]) -> str:
        if self._quick:
            try:
                return self._quick(fields).decode()
            except TypeError:  # a key that is no string, a lone surrogate, a circle, an integer of more than 64 bits
                pass
        try:
            return _encode(fields)
        except (TypeError, ValueError):  # a key that is no string, not-a-number, a circle
            return _encode({name: _plain(value) for name, value in fields.items()})


def _orjson() -> Callable[[object], bytes] | None:
    """Return orjson's encoder, told to write as text what the standard library's does; None where it is missing."""
    try:
        import orjson  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    option = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    return partial(orjson.dumps, default=str, option=option)


def _free(name: str, fields: dict[str, Any]) -> str:
    while name in fields:
        name += "_"
    return name


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, bool)) or value is None else repr(value)
