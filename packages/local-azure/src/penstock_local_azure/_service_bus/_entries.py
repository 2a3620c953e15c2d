"""What a queue holds: messages in their places, and the locks on them."""

from dataclasses import dataclass
from uuid import UUID

from ._sections import Message


@dataclass(slots=True)
class Entry:
    """A message in its place."""

    sequence_number: int
    message: Message
    enqueued_at: int
    """Milliseconds since the epoch."""
    delivery_count: int = 0
    """Deliveries that came to nothing."""
    due: float | None = None
    """The instant a scheduled message becomes active; None once it has."""
    source: str | None = None
    """The queue a dead letter was in before."""


@dataclass(slots=True)
class Lock:
    """The exclusive right to settle a message, until it expires."""

    token: UUID
    entry: Entry
    expires: float
