"""Which of a record's attributes are its own, and which somebody added."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any, Final

_OF_EVERY_RECORD = vars(logging.LogRecord("", logging.NOTSET, "", 0, "", (), None))
BUILT_IN: Final = frozenset(_OF_EVERY_RECORD) | {"message", "asctime", "taskName"}


class _Absent(str):
    """Empty text for a formatter that asks for a field that this record does not have."""

    __slots__ = ()


ABSENT: Final = _Absent()


def added_fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """Return name and value of what ``extra`` and the context added to a record."""
    attributes = record.__dict__.items()
    # A record's own attributes come first, unless its class is somebody else's.
    rest = islice(attributes, len(_OF_EVERY_RECORD), None) if type(record) is logging.LogRecord else attributes
    return [(name, value) for name, value in rest if name not in BUILT_IN and value is not ABSENT]
