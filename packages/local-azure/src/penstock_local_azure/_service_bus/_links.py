"""The links of a session, as this end sees them: some bring messages in, some carry messages out."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from ._decode import DecodeError
from ._errors import DECODE_ERROR, MESSAGE_SIZE_EXCEEDED, NOT_FOUND, NOT_IMPLEMENTED, AmqpError
from ._marks import write_marked
from ._namespace import Node
from ._outcomes import Accepted, Modified, Outcome, Rejected, Released
from ._performatives import RECEIVER, SETTLED, Attach, Disposition, Flow, Transfer
from ._outcomes import write_outcome
from ._requests import Dialect, Reply, Request, read_request, write_reply
from ._sections import read_batch, read_message
from ._types import Described

if TYPE_CHECKING:
    from ._session import Session

BATCH_FORMAT = 0x80013700
"""The message format of a Service Bus batch: every data section is a message."""

MAX_MESSAGE_SIZE = 1024 * 1024
"""Bytes: the Premium tier's limit, and the Python SDK's."""

_CREDIT = 1000
_DEAD_LETTER_CONDITION = "com.microsoft:dead-letter"


class IncomingLink(ABC):
    """A link on which the client sends: grants credit, puts messages together, answers with their outcomes."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        self.handle = attach.handle
        self._session = session
        self._received = 0
        self._credit = 0
        self._first: Transfer | None = None
        self._parts = bytearray()

    @abstractmethod
    def take(self, payload: bytes, message_format: int) -> None:
        """Take a whole message.

        Raises:
            AmqpError: to reject it.
            DecodeError: the same.
        """

    def close(self) -> None:
        """Nothing is held that outlives the link."""

    def grant(self) -> None:
        """Raise the client's credit to its full height."""
        self._credit = _CREDIT
        self._session.send_flow(handle=self.handle, delivery_count=self._received, link_credit=_CREDIT)

    def on_flow(self, _: Flow) -> None:
        """A sender's flow states only what it has; nothing follows."""

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Collect a delivery, which may come in several transfers, and settle it once whole."""
        if self._first is None:
            self._first = transfer
        self._parts += payload
        if transfer.more:
            return
        first, whole = self._first, bytes(self._parts)
        self._first, self._parts = None, bytearray()
        if not transfer.aborted:
            self._settle(first, whole, settled=bool(first.settled or transfer.settled))
        self._received += 1
        self._credit -= 1
        if self._credit <= _CREDIT // 2:
            self.grant()

    def _settle(self, first: Transfer, whole: bytes, *, settled: bool) -> None:
        outcome = self._outcome(whole, first.message_format or 0)
        if not settled and first.delivery_id is not None:
            state = write_outcome(outcome)
            self._session.send(Disposition(RECEIVER, first.delivery_id, settled=True, state=state))

    def _outcome(self, whole: bytes, message_format: int) -> Outcome:
        try:
            if len(whole) > MAX_MESSAGE_SIZE:
                raise AmqpError(MESSAGE_SIZE_EXCEEDED, f"{len(whole)} bytes are more than {MAX_MESSAGE_SIZE}")
            self.take(whole, message_format)
        except AmqpError as error:
            return Rejected(error.composite())
        except DecodeError as error:
            return Rejected(AmqpError(DECODE_ERROR, str(error)).composite())
        return Accepted()


class QueueInlet(IncomingLink):
    """A sender's link into a queue."""

    def __init__(self, session: "Session", attach: Attach, node: Node) -> None:
        super().__init__(session, attach)
        self._core = node.core

    def take(self, payload: bytes, message_format: int) -> None:
        """Enqueue a message, or all messages of a batch: they are read before the first one is enqueued."""
        messages = read_batch(payload) if message_format == BATCH_FORMAT else [read_message(payload)]
        for message in messages:
            self._core.enqueue(message)


class RequestInlet(IncomingLink):
    """The half of a request-response pair that carries requests."""

    def __init__(
        self, session: "Session", attach: Attach, path: str, answer: Callable[[Request], Reply], dialect: Dialect
    ) -> None:
        super().__init__(session, attach)
        self._path = path
        self._answer = answer
        self._dialect = dialect

    def take(self, payload: bytes, message_format: int) -> None:  # noqa: ARG002 - requests come in one format
        """Answer a request on the link that carries this node's replies."""
        request = read_request(payload)
        outlet = self._session.reply_outlet(self._path, request.reply_to)
        if outlet is None:
            raise AmqpError(NOT_FOUND, f"no link is attached that could carry replies from '{self._path}'")
        outlet.reply(write_reply(request, self._answer(request), self._dialect))


class OutgoingLink:
    """A link on which the client receives, as far as it grants credit."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        self.handle = attach.handle
        self.credit = 0
        self.session = session
        self._sent = 0

    def close(self) -> None:
        """Nothing is held that outlives the link."""

    def on_flow(self, flow: Flow) -> None:
        """Take the credit granted; on drain use it up at once, and say so."""
        if flow.link_credit is not None:
            self.credit = max(0, (flow.delivery_count or 0) + flow.link_credit - self._sent)
        self.resume()
        if flow.drain:
            self._sent += self.credit
            self.credit = 0
        if flow.drain or flow.echo:
            self.session.send_flow(
                handle=self.handle, delivery_count=self._sent, link_credit=self.credit, drain=flow.drain
            )

    def resume(self) -> None:
        """Send what waits for credit."""

    def transfer(self, payload: bytes, tag: bytes, *, settled: bool) -> int:
        """Send one message; return its delivery id."""
        self.credit -= 1
        self._sent += 1
        return self.session.transfer(self.handle, payload, tag, settled=settled)


class QueueOutlet(OutgoingLink):
    """A receiver's link out of a queue: in peek-lock mode, or deleting what it sends."""

    def __init__(self, session: "Session", attach: Attach, node: Node) -> None:
        super().__init__(session, attach)
        self._node = node
        self._deletes = attach.snd_settle_mode == SETTLED
        node.attach(self)

    @property
    def ready(self) -> bool:
        """Whether link and session both have room for one more."""
        return self.credit > 0 and self.session.ready

    def close(self) -> None:
        """Leave the queue; the locks stay until they expire."""
        self._node.detach(self)

    def resume(self) -> None:
        """Have the queue look for messages."""
        self._node.wake()

    def deliver(self) -> None:
        """Send the queue's next message."""
        core = self._node.core
        if self._deletes:
            entry = core.take()
            if entry is not None:
                self.transfer(write_marked(entry), entry.sequence_number.to_bytes(8), settled=True)
            return
        lock = core.lock()
        if lock is not None:
            payload = write_marked(lock.entry, core.clock.timestamp(lock.expires))
            delivery = self.transfer(payload, lock.token.bytes_le, settled=False)
            self.session.await_settlement(delivery, self, lock.token)

    def settle(self, token: UUID, outcome: Outcome) -> Outcome:
        """Apply an outcome to a delivery; return the outcome that was reached."""
        try:
            return self._apply(token, outcome)
        except AmqpError as error:
            return Rejected(error.composite())

    def _apply(self, token: UUID, outcome: Outcome) -> Outcome:
        core = self._node.core
        match outcome:
            case Accepted():
                core.complete(token)
            case Released():
                core.release(token)
            case Modified(undeliverable_here=True):
                raise AmqpError(NOT_IMPLEMENTED, "the local Service Bus does not defer messages yet")
            case Modified():
                core.abandon(token)
            case Rejected(error=error):
                core.dead_letter(token, *_dead_letter_details(error))
                return Rejected()
        return outcome


class ReplyOutlet(OutgoingLink):
    """The half of a request-response pair that carries replies."""

    def __init__(self, session: "Session", attach: Attach, path: str, reply_to: str | None) -> None:
        super().__init__(session, attach)
        self.path = path
        self.reply_to = reply_to
        self._waiting: deque[bytes] = deque()
        self._tags = 0

    def reply(self, payload: bytes) -> None:
        """Send a reply as soon as there is credit."""
        self._waiting.append(payload)
        self.resume()

    def resume(self) -> None:
        """Send what waits for credit."""
        while self._waiting and self.credit > 0:
            self._tags += 1
            self.transfer(self._waiting.popleft(), self._tags.to_bytes(8), settled=True)


def _dead_letter_details(error: Described | None) -> tuple[str | None, str | None]:
    """Read reason and description out of a rejection."""
    if error is None:
        return None, None
    condition, description, info = [*error.value, None, None, None][:3]
    if condition == _DEAD_LETTER_CONDITION and info:
        return info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
    return condition, description
