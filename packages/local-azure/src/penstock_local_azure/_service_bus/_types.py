"""The types of AMQP 1.0 that Python has no type of its own for.

A plain `int` is a long, a plain `str` a string, a plain `float` a double, `bytes` a binary; `bool`, `None`, `list`,
`dict` and `uuid.UUID` are what they look like. Everything else is an instance of one of these small subclasses
(OASIS AMQP 1.0, part 1, section 1.6), so that a value which is only passed on keeps its type.
"""

from typing import Any, NamedTuple, TypeAlias

Value: TypeAlias = Any
"""Anything AMQP can say."""


class UByte(int):
    """An unsigned integer of 8 bits."""


class UShort(int):
    """An unsigned integer of 16 bits."""


class UInt(int):
    """An unsigned integer of 32 bits."""


class ULong(int):
    """An unsigned integer of 64 bits."""


class Byte(int):
    """A signed integer of 8 bits."""


class Short(int):
    """A signed integer of 16 bits."""


class Int(int):
    """A signed integer of 32 bits."""


class Timestamp(int):
    """Milliseconds since the Unix epoch."""


class Float(float):
    """A floating-point number of 32 bits."""


class Symbol(str):
    """A name from a constrained domain, in ASCII."""

    __slots__ = ()


class Array(list[Value]):
    """Values of one type, whose constructor is written only once."""


class Described(NamedTuple):
    """A value with a descriptor that gives it meaning: the way AMQP builds its composite types."""

    descriptor: Value
    value: Value


class Opaque(NamedTuple):
    """A fixed-width value the broker has no use for (decimals, characters): kept as it came."""

    constructor: int
    data: bytes
