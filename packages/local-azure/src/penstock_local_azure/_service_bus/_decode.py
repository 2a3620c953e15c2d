"""Bytes to AMQP values.

Every value starts with a *constructor*: one byte that names both the type and the width of what follows. Its high
nibble alone tells how many bytes to read (OASIS AMQP 1.0, part 1, section 1.2), so a value can be stepped over without
being understood: `skip` does, and lets the broker carry the parts of a message it never interprets. To understand a
value, `_READERS` holds one reader for each constructor.
"""

import struct
from collections.abc import Callable
from typing import Final, TypeAlias
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

Reader: TypeAlias = Callable[[bytes, int, int], tuple[Value, int]]
"""Reads what follows a constructor: takes data, offset and depth, returns the value and the offset behind it."""

_U8, _U32 = struct.Struct(">B"), struct.Struct(">I")

_FIXED_WIDTHS: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_SIZE_WIDTHS: Final = {0xA: _U8, 0xB: _U32, 0xC: _U8, 0xD: _U32, 0xE: _U8, 0xF: _U32}

_MAX_DEPTH = 32
"""Deeper nesting than any real message has: keeps hostile input from exhausting the stack."""


class DecodeError(ValueError):
    """The bytes are no AMQP value."""


def decode(data: bytes, offset: int = 0) -> tuple[Value, int]:
    """Read one value; return it with the offset behind it.

    Raises:
        DecodeError: if there is no complete, well-formed value at `offset`.
    """
    try:
        return _READERS[data[offset]](data, offset + 1, 0)
    except DecodeError:
        raise
    except (struct.error, IndexError, TypeError, ValueError) as error:  # cut short, an unhashable key, no UTF-8
        raise DecodeError(f"malformed value at byte {offset}") from error


def skip(data: bytes, offset: int) -> int:
    """Return the offset behind the value at `offset`, going by its constructor's high nibble alone.

    Raises:
        DecodeError: if the value's end lies beyond the data's.
    """
    try:
        values = 1
        while values:
            nibble = data[offset] >> 4
            if data[offset] == 0:  # a described value is two: descriptor and described
                offset += 1
                values += 1
                continue
            if nibble in _FIXED_WIDTHS:
                offset += 1 + _FIXED_WIDTHS[nibble]
            else:
                size = _SIZE_WIDTHS[nibble]
                offset += 1 + size.size + size.unpack_from(data, offset + 1)[0]
            values -= 1
    except (struct.error, IndexError, KeyError) as error:
        raise DecodeError(f"malformed value at byte {offset}") from error
    if offset > len(data):
        raise DecodeError(f"a value ends at byte {offset}, beyond the data")
    return offset


def open_compound(data: bytes, offset: int) -> tuple[int, int, int]:
    """Look into the list or map at `offset`: its count, where its items start and where they end."""
    end = skip(data, offset)
    match data[offset] >> 4:
        case 0xC:
            return data[offset + 2], offset + 3, end
        case 0xD:
            return _U32.unpack_from(data, offset + 5)[0], offset + 9, end
    return 0, end, end


def _constant(value: Value) -> Reader:
    return lambda _data, offset, _depth: (value, offset)


def _byte(kind: Callable[[int], Value]) -> Reader:
    """Make a reader for types of one unsigned byte: each value is made once and shared."""
    values = [kind(number) for number in range(256)]
    return lambda data, offset, _depth: (values[data[offset]], offset + 1)


def _number(code: str, kind: Callable[[Value], Value] | None = None) -> Reader:
    """Make a reader for a fixed-width number; without a `kind` it stays Python's own."""
    unpack, width = struct.Struct(code).unpack_from, struct.calcsize(code)
    if kind is None:
        return lambda data, offset, _depth: (unpack(data, offset)[0], offset + width)
    return lambda data, offset, _depth: (kind(unpack(data, offset)[0]), offset + width)


def _fixed(kind: Callable[[bytes], Value], width: int) -> Reader:
    return lambda data, offset, _depth: (kind(_slice(data, offset, offset + width)), offset + width)


def _sized(size: struct.Struct, kind: Callable[[bytes], Value]) -> Reader:
    """Make a reader for a value of variable width."""

    def read(data: bytes, offset: int, _depth: int) -> tuple[Value, int]:
        start = offset + size.size
        end = start + size.unpack_from(data, offset)[0]
        return kind(_slice(data, start, end)), end

    return read


def _compound(size: struct.Struct, items: Callable[[bytes, int, int, int], Value]) -> Reader:
    """Make a reader for a list, map or array: its size, its count and its items."""

    def read(data: bytes, offset: int, depth: int) -> tuple[Value, int]:
        start = offset + size.size
        end = start + size.unpack_from(data, offset)[0]
        if depth > _MAX_DEPTH or end > len(data):
            raise DecodeError(f"the value at byte {offset} is nested too deeply or ends beyond the data")
        return items(data, start + size.size, size.unpack_from(data, start)[0], depth + 1), end

    return read


def _list(data: bytes, offset: int, count: int, depth: int) -> list[Value]:
    items = []
    for _ in range(count):
        item, offset = _READERS[data[offset]](data, offset + 1, depth)
        items.append(item)
    return items


def _map(data: bytes, offset: int, count: int, depth: int) -> dict[Value, Value]:
    flat = iter(_list(data, offset, count, depth))
    return dict(zip(flat, flat, strict=True))


def _array(data: bytes, offset: int, count: int, depth: int) -> Array:
    """Read an array: its elements share one constructor, and with it a descriptor."""
    array = Array()
    if not count:
        return array
    descriptor, is_described = None, data[offset] == 0
    if is_described:
        descriptor, offset = _READERS[data[offset + 1]](data, offset + 2, depth)
    read = _READERS[data[offset]]
    offset += 1
    for _ in range(min(count, len(data))):  # elements without width could claim any number
        value, offset = read(data, offset, depth)
        array.append(Described(descriptor, value) if is_described else value)
    return array


def _described(data: bytes, offset: int, depth: int) -> tuple[Value, int]:
    if depth > _MAX_DEPTH:
        raise DecodeError("values nested too deeply")
    descriptor, offset = _READERS[data[offset]](data, offset + 1, depth + 1)
    value, offset = _READERS[data[offset]](data, offset + 1, depth + 1)
    return Described(descriptor, value), offset


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise DecodeError(f"the value at byte {start} ends beyond the data")
    return data[start:end]


def _symbol(data: bytes) -> Symbol:
    return Symbol(data, "ascii")


def _unknown(constructor: int) -> Reader:
    """Make a reader for a constructor without a type here: fixed-width values are kept, others cannot be."""

    def refuse(_data: bytes, offset: int, _depth: int) -> tuple[Value, int]:
        raise DecodeError(f"unknown constructor 0x{constructor:02x} at byte {offset - 1}")

    width = _FIXED_WIDTHS.get(constructor >> 4)
    return refuse if not width else _fixed(lambda data: Opaque(constructor, data), width)


_READERS: list[Reader] = [_unknown(constructor) for constructor in range(256)]
for _constructor, _reader in {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),  # noqa: FBT003 - the value AMQP calls true
    0x42: _constant(False),  # noqa: FBT003 - and the one it calls false
    0x43: _constant(UInt(0)),
    0x44: _constant(ULong(0)),
    0x45: lambda _data, offset, _depth: ([], offset),
    0x50: _byte(UByte),
    0x51: _number(">b", Byte),
    0x52: _byte(UInt),
    0x53: _byte(ULong),
    0x54: _number(">b", Int),
    0x55: _number(">b"),
    0x56: _byte(bool),
    0x60: _number(">H", UShort),
    0x61: _number(">h", Short),
    0x70: _number(">I", UInt),
    0x71: _number(">i", Int),
    0x72: _number(">f", Float),
    0x80: _number(">Q", ULong),
    0x81: _number(">q"),
    0x82: _number(">d"),
    0x83: _number(">q", Timestamp),
    0x98: _fixed(lambda data: UUID(bytes=data), 16),
    0xA0: _sized(_U8, bytes),
    0xA1: _sized(_U8, bytes.decode),
    0xA3: _sized(_U8, _symbol),
    0xB0: _sized(_U32, bytes),
    0xB1: _sized(_U32, bytes.decode),
    0xB3: _sized(_U32, _symbol),
    0xC0: _compound(_U8, _list),
    0xC1: _compound(_U8, _map),
    0xD0: _compound(_U32, _list),
    0xD1: _compound(_U32, _map),
    0xE0: _compound(_U8, _array),
    0xF0: _compound(_U32, _array),
}.items():
    _READERS[_constructor] = _reader
