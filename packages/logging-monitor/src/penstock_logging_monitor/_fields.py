"""Which of a record's attributes are its own, and which somebody added."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any, Final

_OF_EVERY_RECORD = vars(logging.LogRecord("", logging.NOTSET, "", 0, "", (), None))
ATTRIBUTES: Final = len(_OF_EVERY_RECORD)
BUILT_IN: Final = frozenset(_OF_EVERY_RECORD) | {"message", "asctime", "taskName"}


class _Absent(str):
    """Empty text for a formatter that asks for a field that this record does not have."""

    __slots__ = ()


ABSENT: Final = _Absent()


def added_fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """Return name and value of what ``extra``, the context or anybody else added to a record."""
    # A record's own attributes come first, unless its class is somebody else's.
    own = ATTRIBUTES if type(record) is logging.LogRecord else 0
    added = islice(record.__dict__.items(), own, None)
    return [(name, value) for name, value in added if name not in BUILT_IN and value is not ABSENT]
