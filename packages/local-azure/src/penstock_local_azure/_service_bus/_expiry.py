"""How long messages live (Service Bus documentation, "Message expiration")."""

from math import inf
from typing import Final

from ._sections import Message

EXPIRED: Final = "TTLExpiredException"
EXPIRED_DESCRIPTION: Final = "The message expired and was dead lettered."

_LONGEST: Final = 0xFFFF_FFFF
"""Milliseconds the header of a message can tell."""
_MILLISECONDS: Final = 1000


def limited(message: Message, ceiling: float | None) -> Message:
    """Return a message that lives no longer than its entity allows, in seconds."""
    if ceiling is None:
        return message
    allowed = min(round(ceiling * _MILLISECONDS), _LONGEST)
    if message.time_to_live is not None and message.time_to_live <= allowed:
        return message
    return message.with_time_to_live(allowed)


def expiry(message: Message, now: float) -> float:
    """Return the instant at which a message that is enqueued now expires."""
    return inf if message.time_to_live is None else now + message.time_to_live / _MILLISECONDS
