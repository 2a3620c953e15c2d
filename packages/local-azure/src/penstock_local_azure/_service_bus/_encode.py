"""AMQP values to bytes, each in its most compact encoding."""

import struct
from collections.abc import Callable, Sequence
from uuid import UUID

from ._types import (
    Array,
    Byte,
    Described,
    Float,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    Value,
)

_U8, _U16, _U32, _U64 = (struct.Struct(code) for code in (">B", ">H", ">I", ">Q"))
_I8, _I16, _I32, _I64 = (struct.Struct(code) for code in (">b", ">h", ">i", ">q"))
_F32, _F64 = struct.Struct(">f"), struct.Struct(">d")

_SMALL = 0xFF
"""The largest size and count that fit the one-byte encodings."""


def encode(value: Value) -> bytes:
    """Write one value.

    Raises:
        TypeError: if AMQP has no type for it.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"AMQP has no type for {type(value).__name__}")
    return encoder(value)


def encoder_of(kind: type) -> Callable[[Value], bytes]:
    """Return what writes values as the type `kind`, also plain numbers and strings that are not instances of it."""
    return _ENCODERS[kind]


def described(code: int, encoded: bytes) -> bytes:
    """Put the descriptor `code` before an encoded value, in the three-byte form that every peer reads."""
    return bytes((0x00, 0x53, code)) + encoded


def list_of(items: Sequence[bytes]) -> bytes:
    """Assemble a list from its encoded items."""
    return _compound(b"".join(items), len(items), 0xC0, 0xD0) if items else b"\x45"


def map_of(body: bytes, count: int) -> bytes:
    """Assemble a map from its encoded keys and values, `count` of both together."""
    return _compound(body, count, 0xC1, 0xD1)


def _compound(body: bytes, count: int, small: int, large: int) -> bytes:
    if len(body) < _SMALL and count <= _SMALL:
        return bytes((small, len(body) + 1, count)) + body
    return bytes((large,)) + _U32.pack(len(body) + 4) + _U32.pack(count) + body


def _bool(value: bool) -> bytes:  # noqa: FBT001 - the argument is the value itself, not an option
    return b"\x41" if value else b"\x42"


def _uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if value <= _SMALL else b"\x70" + _U32.pack(value)


def _ulong(value: int) -> bytes:
    if value == 0:
        return b"\x44"
    return bytes((0x53, value)) if value <= _SMALL else b"\x80" + _U64.pack(value)


def _int(value: int) -> bytes:
    return b"\x54" + _I8.pack(value) if -0x80 <= value < 0x80 else b"\x71" + _I32.pack(value)  # noqa: PLR2004 - 8 bits


def _long(value: int) -> bytes:
    return b"\x55" + _I8.pack(value) if -0x80 <= value < 0x80 else b"\x81" + _I64.pack(value)  # noqa: PLR2004 - 8 bits


def _variable(data: bytes, small: int, large: int) -> bytes:
    size = len(data)
    return bytes((small, size)) + data if size <= _SMALL else bytes((large,)) + _U32.pack(size) + data


def _binary(value: bytes) -> bytes:
    return _variable(value, 0xA0, 0xB0)


def _string(value: str) -> bytes:
    return _variable(value.encode(), 0xA1, 0xB1)


def _symbol(value: str) -> bytes:
    return _variable(value.encode("ascii"), 0xA3, 0xB3)


def _list(value: list[Value]) -> bytes:
    return list_of([encode(item) for item in value])


def _map(value: dict[Value, Value]) -> bytes:
    return map_of(b"".join(encode(part) for item in value.items() for part in item), 2 * len(value))


def _described(value: Described) -> bytes:
    return b"\x00" + encode(value.descriptor) + encode(value.value)


def _opaque(value: Opaque) -> bytes:
    return bytes((value.constructor,)) + value.data


def _array(value: list[Value]) -> bytes:
    """Write an array: one constructor, then the elements in that constructor's full-width form."""
    if not value:
        return b"\xe0\x02\x00\x40"  # no elements; the constructor, which must be there, is null's
    constructor, write = _ELEMENTS[type(value[0])]
    body = bytes((constructor,)) + b"".join(write(item) for item in value)
    return b"\xf0" + _U32.pack(len(body) + 4) + _U32.pack(len(value)) + body


def _long_form(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


_ENCODERS: dict[type, Callable[[Value], bytes]] = {
    type(None): lambda _: b"\x40",
    bool: _bool,
    UByte: lambda value: b"\x50" + _U8.pack(value),
    UShort: lambda value: b"\x60" + _U16.pack(value),
    UInt: _uint,
    ULong: _ulong,
    Byte: lambda value: b"\x51" + _I8.pack(value),
    Short: lambda value: b"\x61" + _I16.pack(value),
    Int: _int,
    int: _long,
    Timestamp: lambda value: b"\x83" + _I64.pack(value),
    Float: lambda value: b"\x72" + _F32.pack(value),
    float: lambda value: b"\x82" + _F64.pack(value),
    UUID: lambda value: b"\x98" + value.bytes,
    bytes: _binary,
    str: _string,
    Symbol: _symbol,
    list: _list,
    dict: _map,
    Array: _array,
    Described: _described,
    Opaque: _opaque,
}

_ELEMENTS: dict[type, tuple[int, Callable[[Value], bytes]]] = {
    bool: (0x56, _U8.pack),
    UByte: (0x50, _U8.pack),
    UShort: (0x60, _U16.pack),
    UInt: (0x70, _U32.pack),
    ULong: (0x80, _U64.pack),
    Byte: (0x51, _I8.pack),
    Short: (0x61, _I16.pack),
    Int: (0x71, _I32.pack),
    int: (0x81, _I64.pack),
    Timestamp: (0x83, _I64.pack),
    Float: (0x72, _F32.pack),
    float: (0x82, _F64.pack),
    UUID: (0x98, lambda value: value.bytes),
    bytes: (0xB0, _long_form),
    str: (0xB1, lambda value: _long_form(value.encode())),
    Symbol: (0xB3, lambda value: _long_form(value.encode("ascii"))),
}
"""Per element type the one constructor that holds any of its values."""
