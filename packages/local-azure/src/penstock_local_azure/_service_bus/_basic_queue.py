"""What every queue does: messages stand in line, are locked, settled, or set aside.

A synchronous state machine that knows neither sockets nor AMQP links. A message is *active* (in line), *locked*
(delivered, its settlement awaited) or *deferred* (set aside, received by its number only). Time enters through the
clock only; `advance` applies what it brings. Every operation advances first, so that a lock is lost the moment it
expires, whether or not a timer has fired.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import chain
from uuid import UUID, uuid4

from ._agenda import Agenda
from ._clock import Clock
from ._entries import Entry, Lock
from ._errors import MESSAGE_NOT_FOUND, NOT_ALLOWED, AmqpError
from ._lines import Lines
from ._message_locks import MessageLocks
from ._message_sessions import MessageSessions, SessionLock
from ._types import Value


class BasicQueue:
    """All that a dead-letter queue does: it counts no deliveries, and nothing in it expires.

    Args:
        path: Its address.
        lock_duration: Seconds a received message stays locked.
        clock: Where time comes from.
        new_token: Makes lock tokens.
    """

    def __init__(self, path: str, lock_duration: float, clock: Clock, *, new_token: Callable[[], UUID] = uuid4) -> None:
        self.path = path
        self.clock = clock
        self.completed = 0
        self.sessions: MessageSessions | None = None
        """Its message sessions, if it requires them."""
        self.changed: Callable[[], None] = lambda: None
        """Called when a message may have become receivable, or something may be due earlier than before."""
        self._agenda = Agenda()
        self._lines = Lines()
        self._entries: dict[int, Entry] = {}
        self._locks = MessageLocks(lock_duration, clock, self._agenda, self._return_failed, new_token)

    # --- what is in it

    @property
    def active(self) -> int:
        """How many messages are in line."""
        return len(self._lines)

    @property
    def locked(self) -> int:
        """How many messages are delivered and not settled."""
        return len(self._locks)

    @property
    def deferred(self) -> int:
        """How many messages are set aside, and not locked."""
        return sum(entry.is_deferred and entry.lock is None for entry in self._entries.values())

    def has(self, session_id: str | None = None) -> bool:
        """Whether a message is in line; in a queue with message sessions: in the line of one of them."""
        return session_id in self._lines

    def peek(self, start: int, limit: int, session_id: str | None = None) -> list[Entry]:
        """Return up to `limit` entries in whatever state, in order from the sequence number `start` on."""
        self.advance()
        found = (
            entry
            for entry in self._everything()
            if entry.sequence_number >= start and session_id in (None, entry.message.session_id)
        )
        return nsmallest(limit, found, key=lambda entry: entry.sequence_number)

    def session_ids(self) -> list[str]:
        """Return the message sessions that have an active message, locked or not, or a state."""
        self.advance()
        states = [] if self.sessions is None else self.sessions.with_state()
        active = (entry.message.session_id for entry in self._entries.values() if not entry.is_deferred)
        return sorted({session_id for session_id in chain(states, active) if session_id is not None})

    # --- how it gets in and out

    def put(self, entry: Entry) -> None:
        """Put an entry in line, at the place its sequence number gives it."""
        self._entries[entry.sequence_number] = entry
        self._lines.add(self._session_of(entry), entry.sequence_number)
        self.changed()

    def take(self, session_id: str | None = None) -> Entry | None:
        """Take the first message out for good: receive and delete."""
        self.advance()
        entry = self._next(session_id)
        if entry is not None:
            self._complete(entry)
        return entry

    def lock(self, session_id: str | None = None) -> Lock | None:
        """Lock the first message for a receiver; a new lock makes for a new `next_due`."""
        self.advance()
        entry = self._next(session_id)
        return None if entry is None else self._lock(entry)

    def take_deferred(self, numbers: Iterable[int], session_id: str | None = None) -> list[Entry]:
        """Take deferred messages out for good, all or none.

        Raises:
            AmqpError: message-not-found, if one of them is not there, locked or expired.
        """
        entries = self._find_deferred(numbers, session_id)
        for entry in entries:
            self._complete(entry)
        return entries

    def lock_deferred(self, numbers: Iterable[int], session_id: str | None = None) -> list[Lock]:
        """Lock deferred messages for a receiver, all or none; they stay deferred unless they are settled otherwise.

        Raises:
            AmqpError: message-not-found, if one of them is not there, locked or expired.
        """
        locks = [self._lock(entry) for entry in self._find_deferred(numbers, session_id)]
        self.changed()
        return locks

    # --- what becomes of what was locked

    def renew(self, token: UUID) -> float:
        """Let a lock last a full lock duration from now; return the instant it expires.

        Raises:
            AmqpError: message-lock-lost, as for everything that follows.
        """
        self.advance()
        return self._locks.renew(token)

    def amend(self, token: UUID, properties: Mapping[str, Value]) -> None:
        """Set application properties of a locked message; those it has under these names are replaced."""
        self.advance()
        entry = self._locks.entry(token)
        entry.message = entry.message.with_application_properties(properties)

    def complete(self, token: UUID) -> None:
        """Settle: the message is done with."""
        self._complete(self._unlock(token))

    def abandon(self, token: UUID) -> None:
        """Settle: the delivery counts as failed, the message goes back to its place."""
        self._return_failed(self._unlock(token))

    def release(self, token: UUID) -> None:
        """Settle: the message goes back to its place and nothing is counted."""
        self._return(self._unlock(token))

    def defer(self, token: UUID) -> None:
        """Settle: the message is set aside."""
        self._unlock(token).is_deferred = True

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:  # noqa: ARG002 - see QueueCore
        """Refuse: there is no dead-letter queue behind this one.

        Raises:
            AmqpError: not-allowed.
        """
        raise AmqpError(NOT_ALLOWED, "a message in a dead-letter queue cannot be dead-lettered")

    # --- what time brings

    def advance(self) -> None:
        """Apply everything that is due by now."""
        self._agenda.keep(self.clock.now())

    def next_due(self) -> float | None:
        """Return the instant at which `advance` may next have something to do."""
        return self._agenda.next_due()

    # --- the steps these are made of

    def _everything(self) -> Iterator[Entry]:
        yield from self._entries.values()

    def _session_of(self, entry: Entry) -> str | None:  # noqa: ARG002 - see QueueCore
        """Return the line an entry stands in."""
        return None

    def _next(self, session_id: str | None) -> Entry | None:
        number = self._lines.pop(session_id)
        return None if number is None else self._entries[number]

    def _find_deferred(self, numbers: Iterable[int], session_id: str | None) -> list[Entry]:
        self.advance()
        entries = [self._entries.get(number) for number in dict.fromkeys(numbers)]
        found = [entry for entry in entries if entry is not None and self._is_at_hand(entry, session_id)]
        if len(found) < len(entries):
            what = "not all of these are deferred messages: one is locked, expired, in another session or not there"
            raise AmqpError(MESSAGE_NOT_FOUND, what)
        return found

    def _is_at_hand(self, entry: Entry, session_id: str | None) -> bool:
        is_free = entry.is_deferred and entry.lock is None and entry.expires > self.clock.now()
        return is_free and self._session_of(entry) == session_id

    def _session_lock(self, entry: Entry) -> SessionLock | None:  # noqa: ARG002 - see QueueCore
        """Return the lock under whose roof an entry's lock stands."""
        return None

    def _lock(self, entry: Entry) -> Lock:
        return self._locks.add(entry, self._session_lock(entry))

    def _unlock(self, token: UUID) -> Entry:
        self.advance()
        return self._locks.undo(token)

    def _complete(self, entry: Entry) -> None:
        self._remove(entry)
        self.completed += 1

    def _remove(self, entry: Entry) -> None:
        self._agenda.cancel(entry.appointment)
        del self._entries[entry.sequence_number]

    def _return(self, entry: Entry) -> None:
        """Put an entry back to where it was."""
        if not entry.is_deferred:
            self.put(entry)

    def _return_failed(self, entry: Entry) -> None:
        """Put an entry back whose delivery came to nothing."""
        self._return(entry)
