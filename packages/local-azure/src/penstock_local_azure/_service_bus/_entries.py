"""What a queue holds: messages in their places, and the locks on them."""

from dataclasses import dataclass
from math import inf
from uuid import UUID

from ._agenda import Appointment
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
    expires: float = inf
    """The instant at which the message has outlived its time."""
    is_deferred: bool = False
    """Whether it is set aside: received by its number only."""
    lock: "Lock | None" = None
    source: str | None = None
    """The queue a dead letter was in before."""
    appointment: Appointment | None = None
    """With its due time, or with its expiry."""


@dataclass(slots=True)
class Lock:
    """The exclusive right to settle a message: until it expires, or as long as the message session's lock lasts."""

    token: UUID
    entry: Entry
    session_id: str | None
    expires: float
    """As it was when the message was received."""
    appointment: Appointment | None = None
