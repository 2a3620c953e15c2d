"""AMQP's type system: what is written is read back, and what cannot be read is refused as such."""

import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_local_azure._service_bus._decode import DecodeError, decode, skip
from penstock_local_azure._service_bus._encode import encode
from penstock_local_azure._service_bus._types import (
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
)


def _integers(kind: type[int], bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(kind)


SIMPLE = {
    bool: st.booleans(),
    UByte: _integers(UByte, 8, signed=False),
    UShort: _integers(UShort, 16, signed=False),
    UInt: _integers(UInt, 32, signed=False),
    ULong: _integers(ULong, 64, signed=False),
    Byte: _integers(Byte, 8, signed=True),
    Short: _integers(Short, 16, signed=True),
    Int: _integers(Int, 32, signed=True),
    int: _integers(int, 64, signed=True),
    Timestamp: _integers(Timestamp, 64, signed=True),
    Float: st.floats(width=32, allow_nan=False).map(Float),
    float: st.floats(allow_nan=False),
    UUID: st.uuids(),
    bytes: st.binary(max_size=40),
    str: st.text(max_size=40),
    Symbol: st.text("abc:-.", max_size=40).map(Symbol),
}
OPAQUE = st.binary(min_size=16, max_size=16).map(lambda data: Opaque(0x94, data))
ARRAYS = st.sampled_from(list(SIMPLE)).flatmap(lambda kind: st.lists(SIMPLE[kind], max_size=5).map(Array))
LEAVES = st.one_of(st.none(), OPAQUE, ARRAYS, *SIMPLE.values())
KEYS = st.one_of(SIMPLE[str], SIMPLE[Symbol])


def _nest(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(children, max_size=5)
    maps = st.dictionaries(KEYS, children, max_size=5)
    return st.one_of(lists, maps, st.builds(Described, SIMPLE[ULong], children))


VALUES = st.recursive(LEAVES, _nest, max_leaves=8)


def _types(value: Any) -> Any:
    """Spell out a value's types all the way down: `UInt(1) == 1` is not enough."""
    match value:
        case Described():
            return (Described, _types(value.descriptor), _types(value.value))
        case list():
            return (type(value), [_types(item) for item in value])
        case dict():
            return (dict, [(_types(key), _types(item)) for key, item in value.items()])
    return type(value)


@given(VALUES)
def test_every_value_is_read_back_as_it_was_written(value: Any) -> None:
    encoded = encode(value)

    assert decode(encoded) == (value, len(encoded))
    assert _types(decode(encoded)[0]) == _types(value)


@given(VALUES, st.binary(max_size=8), st.binary(max_size=8))
def test_a_value_is_stepped_over_without_being_read(value: Any, before: bytes, after: bytes) -> None:
    encoded = encode(value)

    assert skip(before + encoded + after, len(before)) == len(before) + len(encoded)


@given(VALUES, st.data())
def test_a_value_cut_short_is_refused(value: Any, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))

    with pytest.raises(DecodeError):
        decode(encoded[:cut])
    with pytest.raises(DecodeError):
        skip(encoded[:cut], 0)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(noise: bytes) -> None:
    try:
        _, end = decode(noise)
    except DecodeError:
        return
    assert 0 < end <= len(noise)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "40"),
        (True, "41"),
        (False, "42"),
        (UInt(0), "43"),
        (UInt(255), "52ff"),
        (UInt(256), "7000000100"),
        (ULong(0), "44"),
        (ULong(16), "5310"),
        (-1, "55ff"),
        (128, "810000000000000080"),
        (Int(-128), "5480"),
        (Timestamp(1), "830000000000000001"),
        ("ü", "a102c3bc"),
        (Symbol("x"), "a30178"),
        (b"\x00", "a00100"),
        ([], "45"),
        ([True], "c0020141"),
        ({"a": None}, "c10502a1016140"),
        (Described(ULong(0x24), []), "00532445"),
        (Array([Symbol("A")]), "f00000000a00000001b30000000141"),
    ],
)
def test_the_encoding_is_the_most_compact_the_specification_has(value: Any, encoded: str) -> None:
    assert encode(value).hex() == encoded


@pytest.mark.parametrize("size", [0, 255, 256])
def test_sizes_beyond_one_byte_take_four(size: int) -> None:
    assert encode(bytes(size))[0] == (0xA0 if size <= 255 else 0xB0)
    assert decode(encode(bytes(size)))[0] == bytes(size)


def test_other_peers_wide_forms_are_read_too() -> None:
    wide_true, wide_list = b"\x56\x01", b"\xd0" + struct.pack(">II", 5, 1) + b"\x41"
    wide_descriptor = b"\x00\x80" + bytes(7) + b"\x24" + wide_list

    assert decode(wide_true)[0] is True
    assert decode(wide_list)[0] == [True]
    assert decode(wide_descriptor)[0] == Described(ULong(0x24), [True])


def test_an_array_of_described_values_shares_one_descriptor() -> None:
    encoded = bytes.fromhex("e00902005324a101610162")

    assert decode(encoded)[0] == [Described(ULong(0x24), "a"), Described(ULong(0x24), "b")]


def test_deep_nesting_is_refused_instead_of_exhausting_the_stack() -> None:
    with pytest.raises(DecodeError):
        decode(b"\x00" * 5000)
    with pytest.raises(DecodeError):
        decode(b"\xc0\xff\x01" * 80 + bytes(255))
    with pytest.raises(DecodeError):
        skip(b"\x00" * 5000, 0)


@pytest.mark.parametrize("encoded", ["c1020140", "c103024540", "f0000000050000000199", "9b", "a101ff", "a301ff"])
def test_what_only_looks_like_a_value_is_refused(encoded: str) -> None:
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(encoded))


def test_a_type_amqp_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        encode({1, 2})
