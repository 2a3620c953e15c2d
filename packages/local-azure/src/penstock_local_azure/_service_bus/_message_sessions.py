"""The message sessions of a queue or subscription: who holds which, who waits for one, and the state kept with them.

Service Bus documentation, "Message sessions". (AMQP's own sessions, which carry links, are something else.)
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ._agenda import Agenda, Appointment
from ._clock import Clock
from ._errors import SESSION_CANNOT_BE_LOCKED, SESSION_LOCK_LOST, TIMEOUT, AmqpError
from ._lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable


class SessionReceiver(Protocol):
    """A receiver that holds a message session, or would like to."""

    name: str
    """By which requests to the management node tell that they are its own."""

    def granted(self, lock: "SessionLock") -> None:
        """It holds this session now."""

    def refused(self, error: AmqpError) -> None:
        """It gets none."""

    def expired(self) -> None:
        """It holds its session no longer."""


@dataclass(slots=True, eq=False)
class SessionLock:
    """The exclusive right to a message session's messages, until it expires."""

    session_id: str
    receiver: SessionReceiver
    expires: float
    appointment: Appointment


class MessageSessions:
    """The locks on message sessions, and their states.

    Args:
        lock_duration: Seconds a session stays locked unless its lock is renewed.
        lines: What waits in each session.
    """

    def __init__(self, lock_duration: float, lines: Lines, clock: Clock, agenda: Agenda) -> None:
        self.ended: Callable[[str, bool], None] = lambda _session_id, _is_expired: None
        """Called when a session is free again, and with whether its lock had expired."""
        self._lock_duration = lock_duration
        self._lines = lines
        self._clock = clock
        self._agenda = agenda
        self._locks: dict[str, SessionLock] = {}
        self._seekers: dict[SessionReceiver, Appointment] = {}
        self._states: dict[str, tuple[bytes, int]] = {}

    # --- who holds a session

    def accept(self, receiver: SessionReceiver, session_id: str) -> None:
        """Give a session to a receiver, whether there is anything in it or not.

        Raises:
            AmqpError: session-cannot-be-locked, while another receiver holds it.
        """
        if session_id in self._locks:
            what = f"the session '{session_id}' is held by another receiver"
            raise AmqpError(SESSION_CANNOT_BE_LOCKED, what)
        self._grant(receiver, session_id)

    def accept_next(self, receiver: SessionReceiver, within: float) -> None:
        """Give a receiver the next free session with a message in line, as soon as there is one.

        After `within` seconds it is refused with timeout.
        """
        deadline = self._clock.now() + within
        self._seekers[receiver] = self._agenda.add(deadline, partial(self._give_up, receiver))
        self.serve()

    def serve(self) -> None:
        """Give free sessions to those who wait for one, first come first served."""
        while self._seekers and (session_id := self._lines.next_session(self._locks)) is not None:
            receiver = next(iter(self._seekers))
            self.withdraw(receiver)
            self._grant(receiver, session_id)

    def withdraw(self, receiver: SessionReceiver) -> None:
        """Forget that a receiver waits for a session."""
        self._agenda.cancel(self._seekers.pop(receiver, None))

    def leave(self, receiver: SessionReceiver, session_id: str) -> None:
        """Free the session that a receiver gives back, if it still is the receiver's."""
        lock = self._locks.get(session_id)
        if lock is not None and lock.receiver is receiver:
            self._agenda.cancel(lock.appointment)
            del self._locks[session_id]
            self.ended(session_id, False)  # noqa: FBT003 - a plain callback has no keywords

    def held(self, session_id: str, name: str | None = None) -> SessionLock:
        """Return the lock on a session; with a name, the one held by the receiver of this name.

        Raises:
            AmqpError: session-lock-lost, if there is none.
        """
        lock = self._locks.get(session_id)
        if lock is None or name not in (None, lock.receiver.name):
            raise AmqpError(SESSION_LOCK_LOST, f"the lock on the session '{session_id}' has expired: accept it anew")
        return lock

    def renew(self, session_id: str, name: str | None) -> float:
        """Let a session's lock last a full lock duration from now; return the instant it expires."""
        lock = self.held(session_id, name)
        self._agenda.cancel(lock.appointment)
        lock.expires, lock.appointment = self._appoint(session_id)
        return lock.expires

    def _grant(self, receiver: SessionReceiver, session_id: str) -> None:
        lock = SessionLock(session_id, receiver, *self._appoint(session_id))
        self._locks[session_id] = lock
        receiver.granted(lock)

    def _appoint(self, session_id: str) -> tuple[float, Appointment]:
        expires = self._clock.now() + self._lock_duration
        return expires, self._agenda.add(expires, partial(self._expire, session_id))

    def _expire(self, session_id: str) -> None:
        lock = self._locks.pop(session_id)
        self.ended(session_id, True)  # noqa: FBT003 - as above
        lock.receiver.expired()

    def _give_up(self, receiver: SessionReceiver) -> None:
        self.withdraw(receiver)
        receiver.refused(AmqpError(TIMEOUT, "no session with a message in it became free in time"))

    # --- what is kept with a session

    def state(self, session_id: str) -> bytes | None:
        """Return a session's state; None if it has none."""
        state, _ = self._states.get(session_id, (None, 0))
        return state

    def set_state(self, session_id: str, state: bytes | None) -> None:
        """Keep a state with a session until it is replaced; None removes it."""
        if state is None:
            self._states.pop(session_id, None)
        else:
            self._states[session_id] = (state, self._clock.timestamp())

    def with_state(self, updated_after: int = -1) -> list[str]:
        """Return the sessions whose state was set after a time, in milliseconds since the epoch."""
        return [session_id for session_id, (_, updated) in self._states.items() if updated > updated_after]
