"""The queue itself: a synchronous state machine that knows neither sockets nor AMQP links.

A message is *active* (in line), *locked* (delivered, its settlement awaited) or *scheduled* (not in line yet). Time
enters through the clock only; `advance` applies what it brings: locks expire, scheduled messages become active.
Every operation advances first, so that a lock is lost the moment it expires, whether or not a timer has fired.
"""

from collections.abc import Callable
from heapq import heappop, heappush, nsmallest
from itertools import count
from uuid import UUID, uuid4

from ._clock import Clock
from ._declarations import Queue
from ._entries import Entry, Lock
from ._errors import MESSAGE_LOCK_LOST, MESSAGE_NOT_FOUND, NOT_ALLOWED, AmqpError
from ._history import History
from ._sections import Message

MAX_DELIVERY_COUNT_EXCEEDED = "MaxDeliveryCountExceeded"


class QueueCore:
    """One queue, or one dead-letter queue.

    Args:
        declaration: The queue's properties.
        clock: Where time comes from.
        dead_letters: Where dead letters go; None makes this a dead-letter queue, which counts no failed deliveries
            and detects no duplicates.
        new_token: Makes lock tokens.
    """

    def __init__(
        self,
        declaration: Queue,
        clock: Clock,
        *,
        dead_letters: "QueueCore | None" = None,
        new_token: Callable[[], UUID] = uuid4,
    ) -> None:
        self.declaration = declaration
        self.completed = 0
        self.enqueued = 0
        self.suppressed: list[str] = []
        self.clock = clock
        self._dead_letters = dead_letters
        self.changed: Callable[[], None] = lambda: None
        """Called when a message may have become receivable, or something may be due earlier than before."""
        self._new_token = new_token
        self._history = History(declaration.duplicate_detection if dead_letters else None)
        self._numbers = count(1)
        self._entries: dict[int, Entry] = {}
        self._active: list[int] = []
        self._locks: dict[UUID, Lock] = {}
        self._scheduled = 0
        self._timers: list[tuple[float, int, UUID | None]] = []

    # --- what is in it

    @property
    def active(self) -> int:
        """How many messages are in line."""
        return len(self._active)

    @property
    def locked(self) -> int:
        """How many messages are delivered and not settled."""
        return len(self._locks)

    @property
    def scheduled(self) -> int:
        """How many messages wait for their time."""
        return self._scheduled

    def peek(self, start: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries in whatever state, in order from the sequence number `start` on."""
        self.advance()
        numbers = nsmallest(limit, (number for number in self._entries if number >= start))
        return [self._entries[number] for number in numbers]

    # --- how it gets in

    def enqueue(self, message: Message) -> int:
        """Take a message in: to the end of the line, or into the schedule if it names a later time.

        Returns its sequence number. A duplicate gets one too and is dropped: the sender cannot tell (Service Bus
        documentation, "Duplicate detection").
        """
        self.advance()
        number = next(self._numbers)
        if not self._history.admit(message.message_id, self.clock.now()):
            self.suppressed.append(str(message.message_id))
            return number
        self.enqueued += 1
        entry = Entry(number, message, self.clock.timestamp())
        due = self.clock.now() if message.scheduled_for is None else self.clock.instant(message.scheduled_for)
        if due > self.clock.now():
            self._schedule(entry, due)
        else:
            self.put(entry)
        return number

    def put(self, entry: Entry) -> None:
        """Put an entry in line, at the place its sequence number gives it."""
        self._entries[entry.sequence_number] = entry
        heappush(self._active, entry.sequence_number)
        self.changed()

    def cancel(self, number: int) -> None:
        """Take a scheduled message out again.

        Raises:
            AmqpError: message-not-found, if there is none under this number (any more).
        """
        self.advance()
        entry = self._entries.get(number)
        if entry is None or entry.due is None:
            raise AmqpError(MESSAGE_NOT_FOUND, f"no scheduled message has the sequence number {number}")
        self._scheduled -= 1
        del self._entries[number]

    # --- how it gets out

    def take(self) -> Entry | None:
        """Take the first message out for good: receive and delete."""
        self.advance()
        entry = self._next()
        if entry is not None:
            self._forget(entry)
        return entry

    def lock(self) -> Lock | None:
        """Lock the first message for a receiver; a new lock makes for a new `next_due`."""
        self.advance()
        entry = self._next()
        if entry is None:
            return None
        expires = self.clock.now() + self.declaration.lock_duration
        lock = Lock(self._new_token(), entry, expires)
        self._locks[lock.token] = lock
        heappush(self._timers, (expires, entry.sequence_number, lock.token))
        return lock

    def renew(self, token: UUID) -> float:
        """Let a lock last a full lock duration from now; return the instant it expires."""
        lock = self._held(token)
        lock.expires = self.clock.now() + self.declaration.lock_duration
        return lock.expires

    def complete(self, token: UUID) -> None:
        """Settle: the message is done with."""
        self._forget(self._unlock(token))

    def abandon(self, token: UUID) -> None:
        """Settle: the delivery counts as failed, the message goes back to its place."""
        self._return_failed(self._unlock(token))

    def release(self, token: UUID) -> None:
        """Settle: the message goes back to its place and nothing is counted."""
        self.put(self._unlock(token))

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        """Settle: the message moves to the dead-letter queue and says why.

        Raises:
            AmqpError: message-lock-lost; not-allowed, if this is the dead-letter queue.
        """
        if self._dead_letters is None:
            raise AmqpError(NOT_ALLOWED, "a message in a dead-letter queue cannot be dead-lettered")
        self._bury(self._unlock(token), self._dead_letters, reason, description)

    # --- what time brings

    def advance(self) -> None:
        """Apply everything that is due by now."""
        now = self.clock.now()
        while self._timers and self._timers[0][0] <= now:
            _, number, token = heappop(self._timers)
            if token is None:
                self._on_time(number)
            else:
                self._on_expiry(token, now)

    def next_due(self) -> float | None:
        """Return the instant at which `advance` may next have something to do."""
        while self._timers and self._is_over(*self._timers[0][1:]):
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _is_over(self, number: int, token: UUID | None) -> bool:
        """Whether a timer has lost its cause: its lock is settled, its message cancelled."""
        return number not in self._entries if token is None else token not in self._locks

    def _on_time(self, number: int) -> None:
        """Put a scheduled message in line, under a new number, as one that was enqueued just now."""
        entry = self._entries.pop(number, None)
        if entry is None:  # cancelled
            return
        self._scheduled -= 1
        entry.due = None
        entry.sequence_number = next(self._numbers)
        entry.enqueued_at = self.clock.timestamp()
        self.put(entry)

    def _on_expiry(self, token: UUID, now: float) -> None:
        lock = self._locks.get(token)
        if lock is None:  # settled
            return
        if lock.expires > now:  # renewed
            heappush(self._timers, (lock.expires, lock.entry.sequence_number, token))
            return
        del self._locks[token]
        self._return_failed(lock.entry)

    # --- the steps these are made of

    def _next(self) -> Entry | None:
        return self._entries[heappop(self._active)] if self._active else None

    def _schedule(self, entry: Entry, due: float) -> None:
        entry.due = due
        self._scheduled += 1
        self._entries[entry.sequence_number] = entry
        heappush(self._timers, (due, entry.sequence_number, None))
        self.changed()

    def _held(self, token: UUID) -> Lock:
        self.advance()
        lock = self._locks.get(token)
        if lock is None:
            raise AmqpError(MESSAGE_LOCK_LOST, "the lock has expired, or the message is settled already")
        return lock

    def _unlock(self, token: UUID) -> Entry:
        lock = self._held(token)
        del self._locks[token]
        return lock.entry

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.sequence_number]
        self.completed += 1

    def _return_failed(self, entry: Entry) -> None:
        """Count a failed delivery, unless the message is a dead letter already; too many make it one."""
        allowed = self.declaration.max_delivery_count
        if self._dead_letters is None:
            self.put(entry)
            return
        entry.delivery_count += 1
        if entry.delivery_count < allowed:
            self.put(entry)
            return
        description = f"Message could not be consumed after {allowed} delivery attempts."
        self._bury(entry, self._dead_letters, MAX_DELIVERY_COUNT_EXCEEDED, description)

    def _bury(self, entry: Entry, dead_letters: "QueueCore", reason: str | None, description: str | None) -> None:
        """Move an entry, under its number, to the dead-letter queue."""
        told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        entry.message = entry.message.with_application_properties({k: v for k, v in told.items() if v is not None})
        entry.source = self.declaration.name
        del self._entries[entry.sequence_number]
        dead_letters.put(entry)
