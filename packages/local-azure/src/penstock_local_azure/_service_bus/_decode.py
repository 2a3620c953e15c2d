"""Bytes to AMQP values.

Every value starts with a *constructor*: one byte that names both the type and the width of what follows. Its high
nibble alone tells how many bytes to read (OASIS AMQP 1.0, part 1, section 1.2), so a value can be stepped over without
being understood: `skip` does, and lets the broker carry the parts of a message it never interprets.
"""

import struct
from collections.abc import Callable
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


class DecodeError(ValueError):
    """The bytes are no AMQP value."""


_U8, _U16, _U32, _U64 = (struct.Struct(code) for code in (">B", ">H", ">I", ">Q"))
_I8, _I16, _I32, _I64 = (struct.Struct(code) for code in (">b", ">h", ">i", ">q"))
_F32, _F64 = struct.Struct(">f"), struct.Struct(">d")

_FIXED_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_SIZE_WIDTHS = {0xA: _U8, 0xB: _U32, 0xC: _U8, 0xD: _U32, 0xE: _U8, 0xF: _U32}

_MAX_DEPTH = 32
"""Deeper nesting than any real message has: keeps hostile input from exhausting the stack."""


def decode(data: bytes, offset: int = 0) -> tuple[Value, int]:
    """Read one value; return it with the offset behind it.

    Raises:
        DecodeError: if there is no complete, well-formed value at `offset`.
    """
    try:
        return _decode(data, offset, 0)
    except DecodeError:
        raise
    except (struct.error, IndexError, TypeError, ValueError) as error:  # cut short, an unhashable key, no UTF-8
        raise DecodeError(f"malformed value at byte {offset}") from error


def skip(data: bytes, offset: int) -> int:
    """Return the offset behind the value at `offset`, going by its constructor's high nibble alone."""
    try:
        while data[offset] == 0:  # described: step over the descriptor, then over what it describes
            offset = skip(data, offset + 1)
        nibble = data[offset] >> 4
        if nibble in _FIXED_WIDTHS:
            end = offset + 1 + _FIXED_WIDTHS[nibble]
        else:
            size = _SIZE_WIDTHS[nibble]
            end = offset + 1 + size.size + size.unpack_from(data, offset + 1)[0]
    except (struct.error, IndexError, KeyError) as error:
        raise DecodeError(f"malformed value at byte {offset}") from error
    if end > len(data):
        raise DecodeError(f"value at byte {offset} ends beyond the data")
    return end


def _decode(data: bytes, offset: int, depth: int) -> tuple[Value, int]:
    constructor = data[offset]
    if constructor == 0:
        if depth > _MAX_DEPTH:
            raise DecodeError("values nested too deeply")
        descriptor, offset = _decode(data, offset + 1, depth + 1)
        value, offset = _decode(data, offset, depth + 1)
        return Described(descriptor, value), offset
    return _body(constructor, data, offset + 1, depth)


def _body(constructor: int, data: bytes, offset: int, depth: int) -> tuple[Value, int]:
    """Read what follows a constructor; array elements share one, so it comes as an argument."""
    if constructor in _CONSTANTS:
        return _CONSTANTS[constructor], offset
    if constructor == 0x45:  # noqa: PLR2004 - list0, a list made anew each time
        return [], offset
    nibble = constructor >> 4
    if nibble in _FIXED_WIDTHS:
        end = offset + _FIXED_WIDTHS[nibble]
        return _fixed(constructor, data, offset, end), end
    if nibble not in _SIZE_WIDTHS:
        raise DecodeError(f"unknown constructor 0x{constructor:02x}")
    width = _SIZE_WIDTHS[nibble]
    start = offset + width.size
    end = start + width.unpack_from(data, offset)[0]
    if end > len(data):
        raise DecodeError(f"value at byte {offset} ends beyond the data")
    if nibble in (0xA, 0xB):
        return _variable(constructor, data[start:end]), end
    if depth > _MAX_DEPTH:
        raise DecodeError("values nested too deeply")
    count = width.unpack_from(data, start)[0]
    return _compound(constructor, data, start + width.size, count, depth), end


def _fixed(constructor: int, data: bytes, start: int, end: int) -> Value:
    reader = _FIXED.get(constructor)
    if reader is not None:
        unpack, convert = reader
        return convert(unpack(data, start)[0])
    if len(data) < end:
        raise DecodeError("fixed-width value ends beyond the data")
    if constructor == 0x98:  # noqa: PLR2004 - a constructor, as the specification prints it
        return UUID(bytes=data[start:end])
    return Opaque(constructor, data[start:end])


def _variable(constructor: int, data: bytes) -> Value:
    match constructor & 0x0F:
        case 0x0:
            return data
        case 0x1:
            return data.decode()
        case 0x3:
            return Symbol(data, "ascii")
    raise DecodeError(f"unknown constructor 0x{constructor:02x}")


def _compound(constructor: int, data: bytes, offset: int, count: int, depth: int) -> Value:
    match constructor:
        case 0xC0 | 0xD0:
            return _items(data, offset, count, depth)
        case 0xC1 | 0xD1:
            flat = iter(_items(data, offset, count, depth))
            return dict(zip(flat, flat, strict=True))
        case 0xE0 | 0xF0:
            return _array(data, offset, count, depth)
    raise DecodeError(f"unknown constructor 0x{constructor:02x}")


def _items(data: bytes, offset: int, count: int, depth: int) -> list[Value]:
    items = []
    for _ in range(count):
        item, offset = _decode(data, offset, depth + 1)
        items.append(item)
    return items


def _array(data: bytes, offset: int, count: int, depth: int) -> Array:
    array = Array()
    if not count:
        return array
    descriptor, is_described = None, data[offset] == 0
    if is_described:
        descriptor, offset = _decode(data, offset + 1, depth + 1)
    constructor = data[offset]
    offset += 1
    for _ in range(min(count, len(data))):
        value, offset = _body(constructor, data, offset, depth + 1)
        array.append(Described(descriptor, value) if is_described else value)
    return array


def _plain(value: Value) -> Value:
    return value


_CONSTANTS: dict[int, Value] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}

_FIXED: dict[int, tuple[Callable[[bytes, int], tuple[Value, ...]], Callable[[Value], Value]]] = {
    0x50: (_U8.unpack_from, UByte),
    0x51: (_I8.unpack_from, Byte),
    0x52: (_U8.unpack_from, UInt),
    0x53: (_U8.unpack_from, ULong),
    0x54: (_I8.unpack_from, Int),
    0x55: (_I8.unpack_from, _plain),
    0x56: (_U8.unpack_from, bool),
    0x60: (_U16.unpack_from, UShort),
    0x61: (_I16.unpack_from, Short),
    0x70: (_U32.unpack_from, UInt),
    0x71: (_I32.unpack_from, Int),
    0x72: (_F32.unpack_from, Float),
    0x80: (_U64.unpack_from, ULong),
    0x81: (_I64.unpack_from, _plain),
    0x82: (_F64.unpack_from, _plain),
    0x83: (_I64.unpack_from, Timestamp),
}
