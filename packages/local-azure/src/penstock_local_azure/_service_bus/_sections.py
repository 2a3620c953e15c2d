"""The sections of a message (OASIS AMQP 1.0, part 3, section 3.2), kept as bytes wherever nothing needs to be read.

A broker owns three parts of a message: the header, where it counts deliveries; the annotations, where it writes its
own marks; and, when it dead-letters, two application properties. Everything else is the sender's *bare message* and
passes through byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ._decode import DecodeError, decode, skip
from ._encode import described, encode, list_of, map_of
from ._types import Symbol, Timestamp, UInt, ULong, Value

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
PROPERTIES, APPLICATION_PROPERTIES = 0x73, 0x74
DATA, SEQUENCE, VALUE, FOOTER = 0x75, 0x76, 0x77, 0x78

SCHEDULED_TIME: Final = Symbol("x-opt-scheduled-enqueue-time")

_NO_HEADER = (b"\x40",) * 4
"""Four nulls."""


class Section(NamedTuple):
    """Where one section lies: its code, where the section starts, where its value starts and ends."""

    code: int
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class RawMap:
    """A map as its encoded keys and values, `size` of both together."""

    size: int = 0
    body: bytes = b""

    @classmethod
    def of(cls, data: bytes, offset: int) -> "RawMap":
        """Cut the map at `offset` open."""
        end = skip(data, offset)
        match data[offset]:
            case 0xC1:
                return cls(data[offset + 2], data[offset + 3 : end])
            case 0xD1:
                return cls(int.from_bytes(data[offset + 5 : offset + 9]), data[offset + 9 : end])
            case 0x40:
                return cls()
        raise DecodeError("a section that should hold a map does not")

    def with_entries(self, entries: dict[Value, Value]) -> "RawMap":
        """Set entries; those of the same key go, all others stay as they are encoded."""
        kept = [self.body[start:end] for key, start, end in self._spans() if key not in entries]
        added = [encode(key) + encode(value) for key, value in entries.items()]
        return RawMap(2 * (len(kept) + len(added)), b"".join(kept + added))

    def get(self, wanted: str) -> Value:
        """Read the value of one key; None if it is not there."""
        for key, start, _ in self._spans():
            if key == wanted:
                return decode(self.body, skip(self.body, start))[0]
        return None

    def encoded(self, code: int) -> bytes:
        """Write the map as the section `code`; nothing if it is empty."""
        return described(code, map_of(self.body, self.size)) if self.size else b""

    def _spans(self) -> Iterator[tuple[Value, int, int]]:
        """Yield every key with where its entry starts and ends."""
        offset = 0
        while offset < len(self.body):
            key, value = decode(self.body, offset)
            end = skip(self.body, value)
            yield key, offset, end
            offset = end


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
    scheduled_for: int | None = None
    """Milliseconds since the epoch before which the sender does not want it delivered."""

    def encoded(self, annotations: dict[Value, Value], delivery_count: int) -> bytes:
        """Write the message with the broker's marks."""
        header = list_of([*self.header, encode(UInt(delivery_count))])
        return b"".join(
            (
                described(HEADER, header),
                self.annotations.with_entries(annotations).encoded(MESSAGE_ANNOTATIONS),
                self.properties,
                self.application_properties.encoded(APPLICATION_PROPERTIES),
                self.body,
            )
        )

    def with_application_properties(self, entries: dict[str, Value]) -> "Message":
        """Return a copy with these application properties set."""
        return replace(self, application_properties=self.application_properties.with_entries(entries))


def read_message(payload: bytes) -> Message:
    """Take a payload apart, as far as the broker cares.

    Raises:
        DecodeError: if it is no sequence of message sections.
    """
    header: tuple[bytes, ...] = _NO_HEADER
    properties, body = b"", len(payload)
    annotations = application_properties = _EMPTY
    message_id = None
    for section in split_sections(payload):
        match section.code:
            case 0x70:
                header = _sender_fields(payload, section.value)
            case 0x72:
                annotations = RawMap.of(payload, section.value)
            case 0x73:
                properties = payload[section.start : section.end]
                message_id = _message_id(payload, section.value)
            case 0x74:
                application_properties = RawMap.of(payload, section.value)
            case 0x75 | 0x76 | 0x77 | 0x78:
                body = min(body, section.start)
    return Message(
        header=header,
        annotations=annotations,
        properties=properties,
        application_properties=application_properties,
        body=payload[body:],
        message_id=message_id,
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


def _sender_fields(payload: bytes, offset: int) -> tuple[bytes, ...]:
    """Encode the header's first four fields again, missing ones as null."""
    fields = [*read_fields(payload, offset), None, None, None, None]
    return tuple(encode(field) for field in fields[:4])


def _message_id(payload: bytes, offset: int) -> str | None:
    """Read the first field of the properties as text: Service Bus compares ids as such."""
    fields = read_fields(payload, offset)
    return str(fields[0]) if fields and fields[0] is not None else None


def _scheduled_for(annotations: RawMap) -> int | None:
    """Read the time a sender wants its message enqueued; what is no timestamp is no wish."""
    value = annotations.get(SCHEDULED_TIME)
    return value if isinstance(value, Timestamp) else None


def _binary(payload: bytes, section: Section) -> bytes:
    value, _ = decode(payload, section.value)
    if not isinstance(value, bytes):
        raise DecodeError("a data section that holds no binary")
    return value
