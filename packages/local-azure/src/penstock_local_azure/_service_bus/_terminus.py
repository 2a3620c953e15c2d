"""Sources and targets: the two ends of a link, and what an attach says about them (OASIS AMQP 1.0, part 3, 3.5)."""

from typing import Final

from ._errors import INVALID_FIELD, NOT_IMPLEMENTED, AmqpError
from ._namespace import path_of
from ._types import Described, Symbol, Value

SESSION_FILTER: Final = Symbol("com.microsoft:session-filter")

_COORDINATOR: Final = 0x30
"""The descriptor of a target that stands for transactions (part 4, section 4.5.1)."""

_ADDRESS, _FILTER = 0, 7
"""Places of fields."""


def read_path(terminus: Described | None) -> str:
    """Return the path a source or target names.

    Raises:
        AmqpError: if it names none, or asks for transactions.
    """
    if terminus is not None and terminus.descriptor == _COORDINATOR:
        raise AmqpError(NOT_IMPLEMENTED, "the local Service Bus has no transactions")
    address = read_address(terminus)
    if not isinstance(address, str):
        raise AmqpError(INVALID_FIELD, "a link without an address")
    return path_of(address)


def read_address(terminus: Described | None) -> Value:
    """Return the address of a source or target; None if it has none."""
    return _field(terminus, _ADDRESS)


def asks_for_session(source: Described | None) -> bool:
    """Tell whether a source asks for a message session.

    Raises:
        AmqpError: if it has a filter of any other kind, which would change what arrives.
    """
    filters = _filters(source)
    unknown = ", ".join(sorted(str(name) for name in filters if name != SESSION_FILTER))
    if unknown:
        raise AmqpError(NOT_IMPLEMENTED, f"the local Service Bus has no {unknown}")
    return SESSION_FILTER in filters


def read_session_id(source: Described | None) -> str | None:
    """Return the message session a source asks for; None for the next one that is free.

    Raises:
        AmqpError: if it is no name.
    """
    session_id = _filters(source)[SESSION_FILTER]
    if isinstance(session_id, Described):
        session_id = session_id.value
    if session_id is not None and not isinstance(session_id, str):
        raise AmqpError(INVALID_FIELD, "a session filter that is no text")
    return session_id


def with_session_id(source: Described, session_id: str) -> Described:
    """Return a source that tells which message session was granted."""
    fields = list(source.value)
    fields[_FILTER] = {SESSION_FILTER: session_id}
    return Described(source.descriptor, fields)


def _filters(source: Described | None) -> dict[Value, Value]:
    filters = _field(source, _FILTER)
    return filters if isinstance(filters, dict) else {}


def _field(terminus: Described | None, place: int) -> Value:
    """Return a field of a source or target; None if it is not there."""
    if terminus is None or not isinstance(terminus.value, list) or len(terminus.value) <= place:
        return None
    return terminus.value[place]
