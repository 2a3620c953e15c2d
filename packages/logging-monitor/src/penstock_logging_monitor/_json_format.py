"""Log records as flat JSON: one object a line."""

from __future__ import annotations

import json
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any

from penstock_logging_monitor._fields import ABSENT, ATTRIBUTES, BUILT_IN
from penstock_logging_monitor._timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_ENDS = {end: f"\\u{end:04x}" for end in (0x85, 0x2028, 0x2029)}  # JSON lets them stand, many readers split there
_FIRST = ("ts", "level", "logger")
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
        self._quick, self._option = _orjson()
        self._origins: dict[tuple[str, str], str] = {}

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        return "".join(self.parts(record))

    def parts(self, record: logging.LogRecord) -> tuple[str, str]:
        """Return the line in two parts: what can hold no secret, and the rest, from the message on."""
        fields: dict[str, Any] = {"message": record.getMessage()}
        if record.exc_info or record.exc_text or record.stack_info:
            self._add_exception(fields, record)
        attributes = record.__dict__
        if len(attributes) > ATTRIBUTES:
            for name in islice(attributes, ATTRIBUTES if type(record) is logging.LogRecord else 0, None):
                if name not in BUILT_IN and (value := attributes[name]) is not ABSENT:
                    fields[_free(name, fields) if name in fields or name in _FIRST else name] = value
        try:
            rest = self._quick(fields, str, self._option).decode()
        except TypeError:  # a key that is no string, a lone surrogate, a circle, an integer of more than 64 bits
            rest = _to_json(fields)
        origin = self._origins.get((record.levelname, record.name)) or self._add_origin(record)
        return f'{{"ts":"{self._timestamps.of(record.created)}{origin}', rest[1:] if rest.isascii() else rest[
            1:
        ].translate(_LINE_ENDS)

    def _add_origin(self, record: logging.LogRecord) -> str:
        """Write the fields that only a logger and a level decide, and remember them."""
        fields = _encode({"level": record.levelname, "logger": record.name}).translate(_LINE_ENDS)
        self._origins[record.levelname, record.name] = origin = f'",{fields[1:-1]},'
        return origin

    def _add_exception(self, fields: dict[str, Any], record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_type"] = record.exc_info[0].__qualname__
            fields["exc_message"] = str(record.exc_info[1])
            fields["exc_traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:  # the record crossed a process border: only the text came along
            fields["exc_traceback"] = record.exc_text
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)


def _without_orjson(*_: object) -> bytes:
    raise TypeError("orjson is not installed")


def _orjson() -> tuple[Callable[[object, Callable[[Any], Any], int], bytes], int]:
    """Return orjson's encoder and the options by which it writes as text what the standard library's does."""
    try:
        import orjson  # noqa: PLC0415  # an extra
    except ImportError:
        return _without_orjson, 0
    return orjson.dumps, orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def _to_json(fields: dict[str, Any]) -> str:
    try:
        return _encode(fields)
    except (TypeError, ValueError):  # a key that is no string, not-a-number, a circle
        return _encode({name: _plain(value) for name, value in fields.items()})


def _free(name: str, fields: dict[str, Any]) -> str:
    while name in fields or name in _FIRST:
        name += "_"
    return name


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, bool)) or value is None else repr(value)
