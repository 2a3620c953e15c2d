"""The sections of a message (OASIS AMQP 1.0, part 3, section 3.2), kept as bytes wherever nothing needs to be read.

A broker owns three parts of a message: the header, where it counts deliveries and limits lives; the annotations, where
it writes its own marks; and application properties, two when it dead-letters, others as receivers ask for. Everything
else is the sender's *bare message* and passes through byte for byte.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ._decode import DecodeError, decode, open_compound, skip
from ._encode import described, encode, list_of
from ._raw_map import RawMap
from ._types import Timestamp, UInt, ULong, Value

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
PROPERTIES, APPLICATION_PROPERTIES = 0x73, 0x74
DATA, SEQUENCE, VALUE, FOOTER = 0x75, 0x76, 0x77, 0x78

SCHEDULED_TIME: Final = "x-opt-scheduled-enqueue-time"

BROKER_ANNOTATIONS: Final = frozenset(
    {
        "x-opt-deadletter-source",
        "x-opt-enqueued-time",
        "x-opt-locked-until",
        "x-opt-message-state",
        "x-opt-sequence-number",
    }
)
"""Annotations that are the broker's to write: ignored when a sender sets them."""

_MESSAGE_ID, _GROUP_ID = 0, 10
_TTL = 2
"""Places of fields in the properties, and in the header."""

_NULL = encode(None)
_NO_HEADER = (_NULL,) * 4


class Section(NamedTuple):
    """Where one section lies: its code, where the section starts, where its value starts and ends."""

    code: int
    start: int
    value: int
    end: int


_EMPTY = RawMap()


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the broker keeps it."""

    header: tuple[bytes, ...] = _NO_HEADER
    """The encoded header fields that are the sender's: durable, priority, ttl, first-acquirer."""
    annotations: RawMap = _EMPTY
    properties: bytes = b""
    """The whole section."""
    application_properties: RawMap = _EMPTY
    body: bytes = b""
    """All body sections and the footer."""
    message_id: str | None = None
    session_id: str | None = None
    """The message session it belongs to: AMQP's group id."""
    time_to_live: int | None = None
    """Milliseconds."""
    scheduled_for: int | None = None
    """Milliseconds since the epoch before which the sender does not want it delivered."""

    def encoded(self, marks: RawMap, delivery_count: int) -> bytes:
        """Write the message with the broker's annotations."""
        header = list_of([*self.header, encode(UInt(delivery_count))])
        return b"".join(
            (
                described(HEADER, header),
                self.annotations.plus(marks.size, marks.body).encoded(MESSAGE_ANNOTATIONS),
                self.properties,
                self.application_properties.encoded(APPLICATION_PROPERTIES),
                self.body,
            )
        )

    def with_time_to_live(self, milliseconds: int) -> "Message":
        """Return a copy that lives so long."""
        durable, priority, _, first_acquirer = self.header
        header = (durable, priority, encode(UInt(milliseconds)), first_acquirer)
        return replace(self, header=header, time_to_live=milliseconds)

    def with_application_properties(self, entries: Mapping[str, Value]) -> "Message":
        """Return a copy with these application properties set."""
        if not entries:
            return self
        body = b"".join(encode(str(key)) + encode(value) for key, value in entries.items())
        properties = self.application_properties.without(entries).plus(2 * len(entries), body)
        return replace(self, application_properties=properties)


def read_message(payload: bytes) -> Message:
    """Take a payload apart, as far as the broker cares.

    Raises:
        DecodeError: if it is no sequence of message sections.
    """
    found: dict[int, Section] = {}
    for section in split_sections(payload):
        found.setdefault(section.code, section)
    header, properties = found.get(HEADER), found.get(PROPERTIES)
    annotations = _map(payload, found.get(MESSAGE_ANNOTATIONS))
    body = min((section.start for section in found.values() if section.code >= DATA), default=len(payload))
    fields = _NO_HEADER if header is None else _encoded_fields(payload, header.value, len(_NO_HEADER))
    message_id, session_id = (None, None) if properties is None else _ids(payload, properties.value)
    return Message(
        header=fields,
        annotations=annotations.without(BROKER_ANNOTATIONS),
        properties=b"" if properties is None else payload[properties.start : properties.end],
        application_properties=_map(payload, found.get(APPLICATION_PROPERTIES)),
        body=payload[body:],
        message_id=message_id,
        session_id=session_id,
        time_to_live=_time_to_live(fields),
        scheduled_for=_scheduled_for(annotations),
    )


def read_batch(payload: bytes) -> list[Message]:
    """Take the messages out of a batch: its body is one data section for each.

    Raises:
        DecodeError: if one of them is no message.
    """
    return [read_message(_binary(payload, section)) for section in split_sections(payload) if section.code == DATA]


def split_sections(payload: bytes) -> Iterator[Section]:
    """Find the sections of a payload.

    Raises:
        DecodeError: if the payload is anything but a sequence of described values.
    """
    offset = 0
    while offset < len(payload):
        if payload[offset] != 0:
            raise DecodeError("a message section without a descriptor")
        code, value = decode(payload, offset + 1)
        if not isinstance(code, ULong) or not HEADER <= code <= FOOTER:
            raise DecodeError("a message section of an unknown kind")
        end = skip(payload, value)
        yield Section(code, offset, value, end)
        offset = end


def read_fields(payload: bytes, offset: int) -> list[Value]:
    """Read a section that is a list of fields.

    Raises:
        DecodeError: if it is anything else.
    """
    fields, _ = decode(payload, offset)
    if not isinstance(fields, list):
        raise DecodeError("a section that should hold a list does not")
    return fields


def _encoded_fields(payload: bytes, offset: int, count: int) -> tuple[bytes, ...]:
    """Return the first fields of a list as they are encoded; missing ones as null."""
    there, start, _ = open_compound(payload, offset)
    fields = []
    for _ in range(min(there, count)):
        end = skip(payload, start)
        fields.append(payload[start:end])
        start = end
    return (*fields, *[_NULL] * (count - len(fields)))


def _ids(payload: bytes, offset: int) -> tuple[str | None, str | None]:
    """Read message id and group id out of the properties, as text: Service Bus compares ids as such."""
    fields = _encoded_fields(payload, offset, _GROUP_ID + 1)
    message_id, group_id = (decode(fields[place])[0] for place in (_MESSAGE_ID, _GROUP_ID))
    return (None if message_id is None else str(message_id), None if group_id is None else str(group_id))


def _time_to_live(header: tuple[bytes, ...]) -> int | None:
    """Read how long a message is to live; none at all, or nothing, is no wish."""
    milliseconds, _ = decode(header[_TTL])
    return milliseconds if isinstance(milliseconds, UInt) and milliseconds else None


def _map(payload: bytes, section: Section | None) -> RawMap:
    return _EMPTY if section is None else RawMap.of(payload, section.value)


def _scheduled_for(annotations: RawMap) -> int | None:
    """Read the time a sender wants its message enqueued; what is no timestamp is no wish."""
    value = annotations.get(SCHEDULED_TIME)
    return value if isinstance(value, Timestamp) else None


def _binary(payload: bytes, section: Section) -> bytes:
    value, _ = decode(payload, section.value)
    if not isinstance(value, bytes):
        raise DecodeError("a data section that holds no binary")
    return value
