"""Log records as flat JSON: one object a line."""

from __future__ import annotations

import json
import logging
from itertools import islice
from logging import LogRecord
from typing import TYPE_CHECKING, Any

from penstock_logging_monitor._fields import ABSENT, ATTRIBUTES, BUILT_IN
from penstock_logging_monitor._timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_ENDS = {end: f"\\u{end:04x}" for end in (0x85, 0x2028, 0x2029)}  # JSON lets them stand, many readers split there
_FIRST = frozenset({"ts", "level", "logger"})
_RESERVED = BUILT_IN | _FIRST
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
        self._orjson = _orjson()
        self._origins = _Origins()

    def format(self, record: LogRecord) -> str:
        """Return the record as one line of JSON."""
        return self.line(record, None)[:-1]

    def line(self, record: LogRecord, redact: Callable[[str], str] | None) -> str:
        """Return the record as a line of JSON and its end, redacted from the message on: no secret stands before it."""
        fields: dict[str, Any] = {"message": record.getMessage()}
        if record.exc_info or record.exc_text or record.stack_info:
            self._add_exception(fields, record)
        attributes = record.__dict__
        if len(attributes) > ATTRIBUTES:
            for name in islice(attributes, ATTRIBUTES if type(record) is LogRecord else 0, None):
                if name in _RESERVED or name in fields:
                    _add_renamed(fields, name, attributes[name])
                elif (value := attributes[name]) is not ABSENT:
                    fields[name] = value
        dumps, option = self._orjson
        try:
            rest = dumps(fields, str, option)[1:].decode()
        except TypeError:  # a key that is no string, a lone surrogate, a circle, an integer of more than 64 bits
            rest = _to_json(fields)[1:]
        if not rest.isascii():
            rest = rest.translate(_LINE_ENDS)
        if redact:
            rest = redact(rest)
        return f'{{"ts":"{self._timestamps.of(record.created)}{self._origins[record.levelname, record.name]}{rest}\n'

    def _add_exception(self, fields: dict[str, Any], record: LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_type"] = record.exc_info[0].__qualname__
            fields["exc_message"] = str(record.exc_info[1])
            fields["exc_traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:  # the record crossed a process border: only the text came along
            fields["exc_traceback"] = record.exc_text
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)


class _Origins(dict[tuple[str, str], str]):
    """The fields that level and logger decide, as JSON; made when they are first asked for."""

    def __missing__(self, origin: tuple[str, str]) -> str:
        level, logger = origin
        fields = _encode({"level": level, "logger": logger}).translate(_LINE_ENDS)
        self[origin] = written = f'",{fields[1:-1]},'
        return written


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


def _add_renamed(fields: dict[str, Any], name: str, value: object) -> None:
    """Add an attribute whose name is taken under one that is not; a record's own attributes stay out."""
    if name in BUILT_IN or value is ABSENT:
        return
    while name in fields or name in _FIRST:
        name += "_"
    fields[name] = value


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, bool)) or value is None else repr(value)
