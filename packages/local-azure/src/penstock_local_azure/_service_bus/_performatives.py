"""The performatives: what the two ends of a connection say to each other (OASIS AMQP 1.0, part 2, section 2.7).

On the wire each is a described list. The classes below are that list: fields in the specification's order, their
defaults what a missing or null field means. `_WIRE` adds each one's descriptor and its fields' wire types.
"""

from typing import NamedTuple

from ._decode import DecodeError, decode
from ._encode import described, encode, encoder_of, list_of
from ._types import Described, Symbol, UByte, UInt, ULong, UShort, Value

SENDER, RECEIVER = False, True
"""Values of `role`: which end of the link speaks."""

SETTLED = 1
"""The `snd_settle_mode` in which whatever is sent counts as settled at once."""


class Open(NamedTuple):
    """Starts a connection."""

    container_id: str
    hostname: str | None = None
    max_frame_size: int = 0xFFFF_FFFF
    channel_max: int = 0xFFFF
    idle_timeout: int | None = None
    """Milliseconds without a frame after which the speaker gives the connection up."""
    outgoing_locales: Value = None
    incoming_locales: Value = None
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: dict[str, Value] | None = None


class Begin(NamedTuple):
    """Starts a session on a channel."""

    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int = 0xFFFF_FFFF
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: dict[str, Value] | None = None


class Attach(NamedTuple):
    """Attaches a link to a session under a handle."""

    name: str
    handle: int
    role: bool
    snd_settle_mode: int = 2
    rcv_settle_mode: int = 0
    source: Described | None = None
    target: Described | None = None
    unsettled: Value = None
    incomplete_unsettled: bool = False
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: dict[str, Value] | None = None


class Flow(NamedTuple):
    """Tells the state of a session, and with a handle that of a link: chiefly how much may be sent."""

    next_incoming_id: int | None
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool = False
    echo: bool = False
    properties: dict[str, Value] | None = None


class Transfer(NamedTuple):
    """Carries a message, or a part of one: its bytes follow behind the list."""

    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: int | None = None
    state: Described | None = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


class Disposition(NamedTuple):
    """Tells the state of deliveries, by a range of their ids."""

    role: bool
    first: int
    last: int | None = None
    settled: bool = False
    state: Described | None = None
    batchable: bool = False


class Detach(NamedTuple):
    """Takes a link off its handle; `closed` ends it for good."""

    handle: int
    closed: bool = False
    error: Described | None = None


class End(NamedTuple):
    """Ends a session."""

    error: Described | None = None


class Close(NamedTuple):
    """Ends a connection."""

    error: Described | None = None


class SaslMechanisms(NamedTuple):
    """Names the ways to log in (part 5, section 5.3.3)."""

    mechanisms: Value


class SaslInit(NamedTuple):
    """Chooses one of them."""

    mechanism: str
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslOutcome(NamedTuple):
    """Says how that went: 0 is well."""

    code: int
    additional_data: bytes | None = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslOutcome
)

_ANY = None  # written and read as the type the value has itself

_WIRE: dict[type[Performative], tuple[int, tuple[type | None, ...]]] = {
    Open: (0x10, (str, str, UInt, UShort, UInt, _ANY, _ANY, _ANY, _ANY, _ANY)),
    Begin: (0x11, (UShort, UInt, UInt, UInt, UInt, _ANY, _ANY, _ANY)),
    Attach: (
        0x12,
        (str, UInt, bool, UByte, UByte, Described, Described, _ANY, bool, UInt, ULong, _ANY, _ANY, _ANY),
    ),
    Flow: (0x13, (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, bool, bool, _ANY)),
    Transfer: (0x14, (UInt, UInt, bytes, UInt, bool, bool, UByte, Described, bool, bool, bool)),
    Disposition: (0x15, (bool, UInt, UInt, bool, Described, bool)),
    Detach: (0x16, (UInt, bool, Described)),
    End: (0x17, (Described,)),
    Close: (0x18, (Described,)),
    SaslMechanisms: (0x40, (_ANY,)),
    SaslInit: (0x41, (Symbol, bytes, str)),
    SaslOutcome: (0x44, (UByte, bytes)),
}

_BY_CODE = {code: kind for kind, (code, _) in _WIRE.items()}
_DEFAULTS = {kind: [kind._field_defaults.get(name) for name in kind._fields] for kind in _WIRE}
_ENCODERS = {
    kind: [encode if wire_type in (_ANY, Described) else encoder_of(wire_type) for wire_type in types]
    for kind, (_, types) in _WIRE.items()
}
_NULL = encode(None)
_NULLABLE = {(Begin, "remote_channel"), (Flow, "next_incoming_id")}
_MANDATORY = {
    kind: [name for name in kind._fields if name not in kind._field_defaults and (kind, name) not in _NULLABLE]
    for kind in _WIRE
}


def encode_performative(performative: Performative) -> bytes:
    """Write a performative; fields at the end that say nothing beyond their default are left out."""
    kind = type(performative)
    defaults = _DEFAULTS[kind]
    count = len(performative)
    while count and performative[count - 1] == defaults[count - 1]:
        count -= 1
    fields = zip(performative[:count], _ENCODERS[kind], strict=False)
    return described(_WIRE[kind][0], list_of([_NULL if value is None else write(value) for value, write in fields]))


def decode_performative(body: bytes) -> tuple[Performative, bytes]:
    """Read a performative; return it with what follows in the frame: the payload of a transfer.

    Raises:
        DecodeError: if the body is no performative of AMQP 1.0, or a field is missing or of another type.
    """
    value, end = decode(body)
    if not isinstance(value, Described) or not isinstance(value.value, list):
        raise DecodeError("a frame body that is no described list")
    kind = _BY_CODE.get(value.descriptor)
    if kind is None:
        raise DecodeError(f"no performative has the descriptor {value.descriptor!r}")
    return _read(kind, value.value), body[end:]


def _read(kind: type[Performative], given: list[Value]) -> Performative:
    defaults, types = _DEFAULTS[kind], _WIRE[kind][1]
    if len(given) > len(defaults):
        raise DecodeError(f"{kind.__name__} has {len(defaults)} fields, not {len(given)}")
    fields = list(defaults)
    for place, (item, wire_type) in enumerate(zip(given, types, strict=False)):
        if item is None:
            continue
        if wire_type is not None and type(item) is not wire_type:
            raise DecodeError(f"{kind.__name__}.{kind._fields[place]} is no {wire_type.__name__}")
        fields[place] = item
    performative = kind._make(fields)
    for name in _MANDATORY[kind]:
        if getattr(performative, name) is None:
            raise DecodeError(f"{kind.__name__} without {name}")
    return performative
