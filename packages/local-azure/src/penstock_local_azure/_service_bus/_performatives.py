"""The performatives: what the two ends of a connection say to each other (OASIS AMQP 1.0, part 2, section 2.7).

On the wire each is a described list. The classes below are that list: fields in the specification's order, their
defaults what a missing or null field means. `_WIRE` adds each one's descriptor and its fields' wire types.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ._decode import DecodeError, decode
from ._encode import described, encode, list_of
from ._types import Described, Symbol, UByte, UInt, ULong, UShort

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
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[str, Any] | None = None


class Begin(NamedTuple):
    """Starts a session on a channel."""

    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int = 0xFFFF_FFFF
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[str, Any] | None = None


class Attach(NamedTuple):
    """Attaches a link to a session under a handle."""

    name: str
    handle: int
    role: bool
    snd_settle_mode: int = 2
    rcv_settle_mode: int = 0
    source: Described | None = None
    target: Described | None = None
    unsettled: Any = None
    incomplete_unsettled: bool = False
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[str, Any] | None = None


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
    properties: dict[str, Any] | None = None


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

    mechanisms: Any


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

_ANY = None  # written as the value's own type says

_WIRE: dict[type[Performative], tuple[int, tuple[Callable[[Any], Any] | None, ...]]] = {
    Open: (0x10, (str, str, UInt, UShort, UInt, _ANY, _ANY, _ANY, _ANY, _ANY)),
    Begin: (0x11, (UShort, UInt, UInt, UInt, UInt, _ANY, _ANY, _ANY)),
    Attach: (
        0x12,
        (str, UInt, bool, UByte, UByte, _ANY, _ANY, _ANY, bool, UInt, ULong, _ANY, _ANY, _ANY),
    ),
    Flow: (0x13, (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, bool, bool, _ANY)),
    Transfer: (0x14, (UInt, UInt, bytes, UInt, bool, bool, UByte, _ANY, bool, bool, bool)),
    Disposition: (0x15, (bool, UInt, UInt, bool, _ANY, bool)),
    Detach: (0x16, (UInt, bool, _ANY)),
    End: (0x17, (_ANY,)),
    Close: (0x18, (_ANY,)),
    SaslMechanisms: (0x40, (_ANY,)),
    SaslInit: (0x41, (Symbol, bytes, str)),
    SaslOutcome: (0x44, (UByte, bytes)),
}

_BY_CODE = {code: kind for kind, (code, _) in _WIRE.items()}
_DEFAULTS = {kind: [kind._field_defaults.get(name) for name in kind._fields] for kind in _WIRE}


def encode_performative(performative: Performative) -> bytes:
    """Write a performative; fields at the end that say nothing beyond their default are left out."""
    kind = type(performative)
    code, types = _WIRE[kind]
    defaults = _DEFAULTS[kind]
    count = len(performative)
    while count and performative[count - 1] == defaults[count - 1]:
        count -= 1
    items = []
    for value, convert in zip(performative[:count], types, strict=False):
        items.append(encode(value if value is None or convert is None else convert(value)))
    return described(code, list_of(items))


def decode_performative(body: bytes) -> tuple[Performative, bytes]:
    """Read a performative; return it with what follows in the frame: the payload of a transfer.

    Raises:
        DecodeError: if the body is no performative of AMQP 1.0.
    """
    value, end = decode(body)
    if not isinstance(value, Described) or not isinstance(value.value, list):
        raise DecodeError("a frame body that is no described list")
    kind = _BY_CODE.get(value.descriptor)
    if kind is None:
        raise DecodeError(f"no performative has the descriptor {value.descriptor!r}")
    given, defaults = value.value, _DEFAULTS[kind]
    if len(given) > len(defaults):
        raise DecodeError(f"{kind.__name__} has {len(defaults)} fields, not {len(given)}")
    read = [default if item is None else item for item, default in zip(given, defaults, strict=False)]
    return kind(*read, *defaults[len(read) :]), body[end:]
