"""Links on which the client receives, as far as it grants credit."""

from collections import deque
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ._errors import AmqpError
from ._marks import write_marked
from ._node import QueueNode
from ._outcomes import Accepted, Modified, Outcome, Rejected, Released
from ._performatives import SETTLED, Attach, Flow
from ._queue import DEAD_LETTER_DESCRIPTION, DEAD_LETTER_REASON
from ._types import Described, Value

if TYPE_CHECKING:
    from ._session import Session

_DEAD_LETTER: Final = "com.microsoft:dead-letter"


class OutgoingLink:
    """One end of a link whose other end receives."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        self.handle = attach.handle
        self._session = session
        self._attach = attach
        self._credit = 0
        self._sent = 0

    def open(self) -> None:
        """Answer the attach, or see to it that it will be.

        Raises:
            AmqpError: if it is refused.
        """
        self._session.answer(self._attach)

    def on_flow(self, flow: Flow) -> None:
        """Take the credit granted; on drain use it up at once, and say so."""
        if flow.link_credit is not None:
            self._credit = max(0, (flow.delivery_count or 0) + flow.link_credit - self._sent)
        self.resume()
        if flow.drain:
            self._sent += self._credit
            self._credit = 0
        if flow.drain or flow.echo:
            state = {"handle": self.handle, "delivery_count": self._sent, "link_credit": self._credit}
            self._session.send_flow(**state, drain=flow.drain)

    def resume(self) -> None:
        """Send what waited for credit or window."""

    def close(self) -> None:
        """End with the link: one of its two ends has detached it."""

    def lost(self) -> None:
        """End with the connection."""
        self.close()

    def _transfer(self, payload: bytes, tag: bytes, *, is_settled: bool) -> int:
        """Send one message; return its delivery id."""
        self._credit -= 1
        self._sent += 1
        return self._session.transfer(self.handle, payload, tag, is_settled=is_settled)


class QueueOutlet(OutgoingLink):
    """A receiver's link out of a queue: in peek-lock mode, or deleting what it sends."""

    session_id: str | None = None
    """The message session it receives from."""

    def __init__(self, session: "Session", attach: Attach, node: QueueNode) -> None:
        super().__init__(session, attach)
        self._node = node
        self._deletes = attach.snd_settle_mode == SETTLED

    def open(self) -> None:
        """Answer the attach, and join the queue's receivers."""
        super().open()
        self._node.attach(self)

    @property
    def ready(self) -> bool:
        """Whether link and session both have room for one more."""
        return self._credit > 0 and self._session.ready

    def resume(self) -> None:
        """Have the queue look for messages."""
        self._node.wake()

    def close(self) -> None:
        """Leave the queue; its locks stay until they expire."""
        self._node.detach(self)

    def deliver(self) -> None:
        """Send the queue's next message."""
        if self._deletes:
            self._deliver_for_good()
        else:
            self._deliver_locked()

    def settle(self, token: UUID, outcome: Outcome) -> Outcome:
        """Apply an outcome to a delivery; return the one that was reached."""
        core = self._node.core
        try:
            match outcome:
                case Accepted():
                    core.complete(token)
                case Released():
                    core.release(token)
                case Modified(_, is_set_aside, properties):
                    core.amend(token, properties or {})
                    (core.defer if is_set_aside else core.abandon)(token)
                case Rejected(error):
                    reason, description, properties = _dead_letter_details(error)
                    core.amend(token, properties)
                    core.dead_letter(token, reason, description)
                    return Rejected()
        except AmqpError as error:
            return Rejected(error.composite())
        return outcome

    def _deliver_for_good(self) -> None:
        entry = self._node.core.take(self.session_id)
        if entry is not None:
            self._transfer(write_marked(entry), entry.sequence_number.to_bytes(16), is_settled=True)

    def _deliver_locked(self) -> None:
        core = self._node.core
        lock = core.lock(self.session_id)
        if lock is not None:
            payload = write_marked(lock.entry, core.clock.timestamp(lock.expires))
            # The tag is the lock token, in the byte order of .NET's Guid.
            delivery = self._transfer(payload, lock.token.bytes_le, is_settled=False)
            self._session.await_settlement(delivery, self, lock.token)


class ReplyOutlet(OutgoingLink):
    """The half of a request-response pair that carries replies."""

    def __init__(self, session: "Session", attach: Attach, path: str, reply_to: str | None) -> None:
        super().__init__(session, attach)
        self.path = path
        self.reply_to = reply_to
        self._waiting: deque[bytes] = deque()

    def reply(self, payload: bytes) -> None:
        """Send a reply as soon as there is credit."""
        self._waiting.append(payload)
        self.resume()

    def resume(self) -> None:
        """Send what waited for credit."""
        while self._waiting and self._credit > 0:
            self._transfer(self._waiting.popleft(), self._sent.to_bytes(8), is_settled=True)


def _dead_letter_details(error: Described | None) -> tuple[str | None, str | None, dict[Value, Value]]:
    """Read reason, description and properties to set out of a rejection.

    Without the vendor's own condition, condition and description serve.
    """
    if error is None or not isinstance(error.value, list):
        return None, None, {}
    condition, description, info = [*error.value, None, None, None][:3]
    if condition != _DEAD_LETTER or not isinstance(info, dict):
        return condition, description, {}
    properties = {key: value for key, value in info.items() if key not in (DEAD_LETTER_REASON, DEAD_LETTER_DESCRIPTION)}
    return info.get(DEAD_LETTER_REASON), info.get(DEAD_LETTER_DESCRIPTION), properties
