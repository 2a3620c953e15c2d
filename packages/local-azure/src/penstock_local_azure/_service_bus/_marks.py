"""The broker's marks on a message: the annotations Service Bus adds on its way to a receiver."""

from typing import Final

from ._entries import Entry
from ._types import Int, Symbol, Timestamp, Value

_SEQUENCE_NUMBER: Final = Symbol("x-opt-sequence-number")
_ENQUEUED_TIME: Final = Symbol("x-opt-enqueued-time")
_LOCKED_UNTIL: Final = Symbol("x-opt-locked-until")
_DEAD_LETTER_SOURCE: Final = Symbol("x-opt-deadletter-source")
_MESSAGE_STATE: Final = Symbol("x-opt-message-state")

_SCHEDULED = Int(2)


def write_marked(entry: Entry, locked_until: int | None = None) -> bytes:
    """Write a message as a receiver or a peek gets it; `locked_until` is in milliseconds since the epoch."""
    marks: dict[Value, Value] = {
        _ENQUEUED_TIME: Timestamp(entry.enqueued_at),
        _SEQUENCE_NUMBER: entry.sequence_number,
    }
    if locked_until is not None:
        marks[_LOCKED_UNTIL] = Timestamp(locked_until)
    if entry.source is not None:
        marks[_DEAD_LETTER_SOURCE] = entry.source
    if entry.due is not None:
        marks[_MESSAGE_STATE] = _SCHEDULED
    return entry.message.encoded(marks, entry.delivery_count)
