"""The locks on a queue's messages: who may settle what, and until when."""

from collections.abc import Callable
from functools import partial
from math import inf
from uuid import UUID

from ._agenda import Agenda
from ._clock import Clock
from ._entries import Entry, Lock
from ._errors import MESSAGE_LOCK_LOST, AmqpError
from ._message_sessions import SessionLock


class MessageLocks:
    """Locks by token.

    Args:
        duration: Seconds a lock lasts unless it is renewed.
        on_expiry: Takes back the entry whose lock has expired.
        new_token: Makes tokens.
    """

    def __init__(
        self,
        duration: float,
        clock: Clock,
        agenda: Agenda,
        on_expiry: Callable[[Entry], None],
        new_token: Callable[[], UUID],
    ) -> None:
        self._duration = duration
        self._clock = clock
        self._agenda = agenda
        self._on_expiry = on_expiry
        self._new_token = new_token
        self._locks: dict[UUID, Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def add(self, entry: Entry, session: SessionLock | None) -> Lock:
        """Lock an entry: for a while, or for as long as its message session is locked."""
        lock = entry.lock = Lock(self._new_token(), entry, None if session is None else session.session_id, inf)
        self._locks[lock.token] = lock
        if session is None:
            self._appoint(lock)
        else:
            lock.expires = session.expires
        return lock

    def entry(self, token: UUID) -> Entry:
        """Return what a lock is on.

        Raises:
            AmqpError: message-lock-lost.
        """
        return self._held(token).entry

    def renew(self, token: UUID) -> float:
        """Let a lock last a full duration from now; return the instant it expires.

        Raises:
            AmqpError: message-lock-lost.
        """
        lock = self._held(token)
        self._agenda.cancel(lock.appointment)
        self._appoint(lock)
        return lock.expires

    def undo(self, token: UUID) -> Entry:
        """Unlock an entry.

        Raises:
            AmqpError: message-lock-lost.
        """
        lock = self._held(token)
        self._agenda.cancel(lock.appointment)
        return self._drop(lock)

    def undo_session(self, session_id: str) -> list[Entry]:
        """Unlock all entries of a message session."""
        return [self._drop(lock) for lock in list(self._locks.values()) if lock.session_id == session_id]

    def _held(self, token: UUID) -> Lock:
        lock = self._locks.get(token)
        if lock is None:
            raise AmqpError(MESSAGE_LOCK_LOST, "the lock has expired, or the message is settled already")
        return lock

    def _appoint(self, lock: Lock) -> None:
        lock.expires = self._clock.now() + self._duration
        expire = partial(self._expire, lock)
        lock.appointment = self._agenda.add(lock.expires, expire, rank=lock.entry.sequence_number)

    def _expire(self, lock: Lock) -> None:
        self._on_expiry(self._drop(lock))

    def _drop(self, lock: Lock) -> Entry:
        del self._locks[lock.token]
        lock.entry.lock = None
        return lock.entry
