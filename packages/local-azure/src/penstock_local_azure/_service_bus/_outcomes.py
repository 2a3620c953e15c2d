"""Outcomes: how a delivery can end (OASIS AMQP 1.0, part 3, section 3.4)."""

from typing import NamedTuple

from ._decode import DecodeError
from ._types import Described, ULong, Value


class Accepted(NamedTuple):
    """The message was taken over: Service Bus completes it."""


class Rejected(NamedTuple):
    """The message cannot be processed: Service Bus dead-letters it."""

    error: Described | None = None


class Released(NamedTuple):
    """The message was never looked at: it goes back as it was."""


class Modified(NamedTuple):
    """The message goes back with changes: Service Bus abandons it, or defers it if it is undeliverable here."""

    delivery_failed: bool = False
    undeliverable_here: bool = False
    message_annotations: dict[Value, Value] | None = None


Outcome = Accepted | Rejected | Released | Modified

_BY_CODE: dict[int, type[Outcome]] = {0x24: Accepted, 0x25: Rejected, 0x26: Released, 0x27: Modified}
_CODES = {kind: ULong(code) for code, kind in _BY_CODE.items()}


def read_outcome(state: Described) -> Outcome:
    """Turn a delivery state into an outcome.

    Raises:
        DecodeError: if it is none of the four.
    """
    kind = _BY_CODE.get(state.descriptor)
    if kind is None or not isinstance(state.value, list) or len(state.value) > len(kind._fields):
        raise DecodeError("a delivery state that is no outcome")
    return kind(*state.value)


def write_outcome(outcome: Outcome) -> Described:
    """Turn an outcome into the delivery state that says it."""
    fields: list[Value] = list(outcome)
    while fields and fields[-1] is None:
        fields.pop()
    return Described(_CODES[type(outcome)], fields)
