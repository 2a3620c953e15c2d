"""A queue or subscription: on top of the basic queue it counts deliveries, schedules, expires and buries messages."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from math import inf
from typing import Final
from uuid import UUID, uuid4

from ._basic_queue import BasicQueue
from ._clock import Clock
from ._declarations import Queue, Subscription
from ._entrance import Entrance
from ._entries import Entry
from ._errors import NOT_ALLOWED, AmqpError
from ._expiry import EXPIRED, EXPIRED_DESCRIPTION, expiry, limited
from ._message_sessions import MessageSessions, SessionLock
from ._sections import Message

DEAD_LETTER_REASON: Final = "DeadLetterReason"
DEAD_LETTER_DESCRIPTION: Final = "DeadLetterErrorDescription"
"""The application properties that say why a message is a dead letter."""

MAX_DELIVERY_COUNT_EXCEEDED: Final = "MaxDeliveryCountExceeded"
NO_SESSION_ID: Final = "Session ID is null."
NO_SESSION_ID_DESCRIPTION: Final = "Session enabled entity doesn't allow a message whose session identifier is null."


class QueueCore(BasicQueue):
    """One queue, or one subscription.

    Args:
        declaration: Its properties.
        clock: Where time comes from.
        dead_letters: Where dead letters go.
        path: Its address; None: the declared name.
        new_token: Makes lock tokens.
    """

    def __init__(
        self,
        declaration: Queue | Subscription,
        clock: Clock,
        dead_letters: BasicQueue,
        *,
        path: str | None = None,
        new_token: Callable[[], UUID] = uuid4,
    ) -> None:
        super().__init__(path or declaration.name, declaration.lock_duration, clock, new_token=new_token)
        self.declaration = declaration
        self.expired = 0
        """How many messages were dropped because nobody received them in time."""
        self._dead_letters = dead_letters
        window = declaration.duplicate_detection if isinstance(declaration, Queue) else None
        self.entrance = Entrance(window, clock, self._agenda, self._admit)
        if declaration.requires_session:
            self.sessions = MessageSessions(declaration.lock_duration, self._lines, clock, self._agenda)
            self.sessions.ended = self._take_back

    # --- how it gets in

    def enqueue(self, messages: Iterable[Message]) -> list[int]:
        """Take messages in, all or none: to the end of the line, or into the schedule if they name a later time.

        Returns their sequence numbers.

        Raises:
            AmqpError: not-allowed, if one belongs to no message session where all must.
        """
        self.advance()
        messages = list(messages)
        if self.sessions is not None and any(message.session_id is None for message in messages):
            what = "the SessionId of a message was not set, and the entity, which requires sessions, takes none without"
            raise AmqpError(NOT_ALLOWED, what)
        numbers = [self.entrance.enqueue(message) for message in messages]
        self.changed()
        return numbers

    def take_copy(self, message: Message) -> None:
        """Take in what a topic hands on; a message without a session where all must have one is a dead letter."""
        self.advance()
        self.entrance.pass_on(message)
        self.changed()

    def cancel(self, number: int) -> None:
        """Take a scheduled message out again.

        Raises:
            AmqpError: message-not-found, if there is none under this number (any more).
        """
        self.advance()
        self.entrance.cancel(number)

    def _admit(self, number: int, message: Message) -> None:
        message = limited(message, self.declaration.time_to_live)
        entry = Entry(number, message, self.clock.timestamp(), expires=expiry(message, self.clock.now()))
        if self.sessions is not None and message.session_id is None:
            self._bury(entry, NO_SESSION_ID, NO_SESSION_ID_DESCRIPTION)
            return
        if entry.expires < inf:
            on_expiry = partial(self._on_expiry, entry)
            entry.appointment = self._agenda.add(entry.expires, on_expiry, rank=number)
        self.put(entry)

    # --- what becomes of what was locked

    def renew(self, token: UUID) -> float:
        """Let a lock last a full lock duration from now; return the instant it expires.

        Raises:
            AmqpError: message-lock-lost; not-allowed in a message session, whose own lock is to be renewed.
        """
        if self.sessions is not None:
            raise AmqpError(NOT_ALLOWED, "in a session it is the session's lock that is renewed")
        return super().renew(token)

    def defer(self, token: UUID) -> None:
        """Settle: the message is set aside, and the delivery counted; that alone makes no dead letter."""
        entry = self._unlock(token)
        entry.is_deferred = True
        entry.delivery_count += 1

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        """Settle: the message moves to the dead-letter queue and says why."""
        entry = self._unlock(token)
        self._remove(entry)
        self._bury(entry, reason, description)

    # --- the steps these are made of

    def _everything(self) -> Iterator[Entry]:
        return chain(self._entries.values(), self.entrance.scheduled)

    def _session_of(self, entry: Entry) -> str | None:
        return None if self.sessions is None else entry.message.session_id

    def _session_lock(self, entry: Entry) -> SessionLock | None:
        session_id = entry.message.session_id
        return None if self.sessions is None or session_id is None else self.sessions.held(session_id)

    def _take_back(self, session_id: str, is_expired: bool) -> None:  # noqa: FBT001 - a callback has no keywords
        """Return what a message session's receiver has not settled; that counts as failed if its lock expired."""
        for entry in self._locks.undo_session(session_id):
            if is_expired:
                self._return_failed(entry)
            else:
                self._return(entry)
        self.changed()

    def _return(self, entry: Entry) -> None:
        """Put an entry back to where it was, unless it has expired meanwhile; what is deferred stays."""
        if not entry.is_deferred and entry.expires <= self.clock.now():
            self._expire(entry)
        else:
            super()._return(entry)

    def _return_failed(self, entry: Entry) -> None:
        """Count a failed delivery; too many make a dead letter."""
        allowed = self.declaration.max_delivery_count
        entry.delivery_count += 1
        if entry.delivery_count < allowed:
            self._return(entry)
            return
        self._remove(entry)
        description = f"Message could not be consumed after {allowed} delivery attempts."
        self._bury(entry, MAX_DELIVERY_COUNT_EXCEEDED, description)

    def _on_expiry(self, entry: Entry) -> None:
        """Expire a message in line; a locked one is looked at when it comes back, a deferred one stays."""
        if entry.lock is None and not entry.is_deferred:
            self._lines.discard(self._session_of(entry), entry.sequence_number)
            self._expire(entry)

    def _expire(self, entry: Entry) -> None:
        """Drop a message that has outlived its time, or dead-letter it where that is declared."""
        self._remove(entry)
        if self.declaration.dead_letter_on_expiration:
            self._bury(entry, EXPIRED, EXPIRED_DESCRIPTION)
        else:
            self.expired += 1

    def _bury(self, entry: Entry, reason: str | None, description: str | None) -> None:
        """Put an entry, under its number, into the dead-letter queue, where nothing expires."""
        told = {DEAD_LETTER_REASON: reason, DEAD_LETTER_DESCRIPTION: description}
        entry.message = entry.message.with_application_properties({k: v for k, v in told.items() if v is not None})
        entry.source, entry.is_deferred, entry.expires = self.path, False, inf
        self._dead_letters.put(entry)
