"""A receiver's link out of one message session."""

from typing import TYPE_CHECKING, Final

from ._errors import SESSION_LOCK_LOST, AmqpError
from ._message_sessions import MessageSessions, SessionLock
from ._node import QueueNode
from ._outgoing import QueueOutlet
from ._performatives import Attach
from ._terminus import read_session_id, with_session_id
from ._types import Symbol

if TYPE_CHECKING:
    from ._session import Session

_LOCKED_UNTIL: Final = Symbol("com.microsoft:locked-until-utc")
_TIMEOUT: Final = "com.microsoft:timeout"
"""Link properties: what is told of the session, and what the client says how long it waits for one."""

_PATIENCE: Final = 60.0
"""Seconds a client waits for a session that does not say how long."""

_TICKS: Final = 10_000
_UNIX_EPOCH: Final = 621_355_968_000_000_000
"""How .NET tells time: in ticks since the year 1, so many to the millisecond."""


class SessionOutlet(QueueOutlet):
    """A link that is attached once a message session is granted, and detached when its lock expires."""

    def __init__(self, session: "Session", attach: Attach, node: QueueNode, sessions: MessageSessions) -> None:
        super().__init__(session, attach, node)
        self.name = attach.name
        self._sessions = sessions
        self._is_lost = False

    def open(self) -> None:
        """Ask for the session: the attach is answered when there is one."""
        wanted = read_session_id(self._attach.source)
        if wanted is not None:
            self._sessions.accept(self, wanted)
            return
        milliseconds = (self._attach.properties or {}).get(_TIMEOUT)
        self._sessions.accept_next(self, _PATIENCE if milliseconds is None else milliseconds / 1000)
        self._node.wake()

    @property
    def ready(self) -> bool:
        """Whether there is room for one more, and one more to send."""
        return self._node.core.has(self.session_id) and super().ready

    def close(self) -> None:
        """Give the session back: what was not settled is free again at once, and not counted."""
        super().close()
        self._sessions.withdraw(self)
        if self.session_id is not None:
            self._sessions.leave(self, self.session_id)

    def lost(self) -> None:
        """Keep the session locked, as a client does that has died: the lock expires."""
        super().close()
        self._sessions.withdraw(self)
        self._is_lost = True

    # --- what becomes of its session

    def granted(self, lock: SessionLock) -> None:
        """Answer the attach, and say which session it is and until when it is locked."""
        self.session_id = lock.session_id
        milliseconds = self._node.core.clock.timestamp(lock.expires)
        assert self._attach.source is not None  # noqa: S101 - it was read
        self._session.answer(
            self._attach,
            source=with_session_id(self._attach.source, lock.session_id),
            properties={_LOCKED_UNTIL: milliseconds * _TICKS + _UNIX_EPOCH},
        )
        self._node.attach(self)

    def refused(self, error: AmqpError) -> None:
        """Refuse the attach after all."""
        self._session.refuse(self._attach, error)

    def expired(self) -> None:
        """Detach the link."""
        if not self._is_lost:
            what = f"the lock on the session '{self.session_id}' has expired: accept it anew"
            self._session.detach(self.handle, AmqpError(SESSION_LOCK_LOST, what))
