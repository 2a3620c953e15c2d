"""The broker's marks on a message: the annotations Service Bus adds on its way to a receiver."""

from typing import Final

from ._encode import encode
from ._entries import Entry
from ._raw_map import RawMap
from ._types import Int, Symbol, Timestamp, Value

_DEAD_LETTER_SOURCE: Final = encode(Symbol("x-opt-deadletter-source"))
_ENQUEUED_TIME: Final = encode(Symbol("x-opt-enqueued-time"))
_LOCKED_UNTIL: Final = encode(Symbol("x-opt-locked-until"))
_MESSAGE_STATE: Final = encode(Symbol("x-opt-message-state"))
_SEQUENCE_NUMBER: Final = encode(Symbol("x-opt-sequence-number"))

_DEFERRED, _SCHEDULED = Int(1), Int(2)


def write_marked(entry: Entry, locked_until: int | None = None) -> bytes:
    """Write a message as a receiver or a peek gets it; `locked_until` is in milliseconds since the epoch."""
    marks: list[tuple[bytes, Value]] = [
        (_ENQUEUED_TIME, Timestamp(entry.enqueued_at)),
        (_SEQUENCE_NUMBER, entry.sequence_number),
    ]
    if locked_until is not None:
        marks.append((_LOCKED_UNTIL, Timestamp(locked_until)))
    if entry.source is not None:
        marks.append((_DEAD_LETTER_SOURCE, entry.source))
    if entry.is_deferred:
        marks.append((_MESSAGE_STATE, _DEFERRED))
    if entry.due is not None:
        marks.append((_MESSAGE_STATE, _SCHEDULED))
    body = b"".join(key + encode(value) for key, value in marks)
    return entry.message.encoded(RawMap(2 * len(marks), body), entry.delivery_count)
