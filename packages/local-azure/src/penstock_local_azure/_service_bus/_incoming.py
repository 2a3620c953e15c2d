"""Links on which the client sends: they grant credit, put messages together and answer with outcomes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ._decode import DecodeError
from ._errors import DECODE_ERROR, MESSAGE_SIZE_EXCEEDED, NOT_FOUND, AmqpError
from ._outcomes import Accepted, Outcome, Rejected, write_outcome
from ._performatives import RECEIVER, Attach, Disposition, Transfer
from ._queue import QueueCore
from ._requests import Dialect, Reply, Request, read_request, write_reply
from ._sections import read_batch, read_message
from ._topic import TopicCore

if TYPE_CHECKING:
    from ._session import Session

MAX_MESSAGE_SIZE: Final = 1024 * 1024
"""Bytes: the Premium tier's limit unless raised, and the Python SDK's own."""

BATCH_FORMAT: Final = 0x80013700
"""The message format of a Service Bus batch: every data section is a message."""

_CREDIT = 1000
"""Messages a client may send before it hears of us; topped up at half."""


class IncomingLink(ABC):
    """One end of a link whose other end sends."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        self.handle = attach.handle
        self._session = session
        self._attach = attach
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

    def open(self) -> None:
        """Answer the attach, and let the client send."""
        self._session.answer(self._attach)
        self.grant()

    def grant(self) -> None:
        """Raise the client's credit to its full height."""
        self._credit = _CREDIT
        self._session.send_flow(handle=self.handle, delivery_count=self._received, link_credit=_CREDIT)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Collect a delivery, which may come in several transfers, and settle it once whole."""
        if self._first is None:
            self._first = transfer
        if len(self._parts) <= MAX_MESSAGE_SIZE:  # what is too large already need not be kept
            self._parts += payload
        if transfer.more and not transfer.aborted:
            return
        first, whole = self._first, bytes(self._parts)
        self._first, self._parts = None, bytearray()
        if not transfer.aborted:
            self._settle(first, whole, is_settled=bool(first.settled or transfer.settled))
        self._count()

    def _settle(self, first: Transfer, whole: bytes, *, is_settled: bool) -> None:
        outcome = self._outcome(whole, first.message_format or 0)
        if not is_settled and first.delivery_id is not None:
            state = write_outcome(outcome)
            self._session.send(Disposition(RECEIVER, first.delivery_id, settled=True, state=state))

    def _outcome(self, whole: bytes, message_format: int) -> Outcome:
        if len(whole) > MAX_MESSAGE_SIZE:
            error = AmqpError(MESSAGE_SIZE_EXCEEDED, f"a message of more than {MAX_MESSAGE_SIZE} bytes")
            return Rejected(error.composite())
        try:
            self.take(whole, message_format)
        except AmqpError as error:
            return Rejected(error.composite())
        except DecodeError as error:
            return Rejected(AmqpError(DECODE_ERROR, str(error)).composite())
        return Accepted()

    def _count(self) -> None:
        self._received += 1
        self._credit -= 1
        if self._credit <= _CREDIT // 2:
            self.grant()


class EntityInlet(IncomingLink):
    """A sender's link into a queue or topic."""

    def __init__(self, session: "Session", attach: Attach, core: QueueCore | TopicCore) -> None:
        super().__init__(session, attach)
        self._core = core

    def take(self, payload: bytes, message_format: int) -> None:
        """Enqueue a message, or all messages of a batch: every one is read before the first is enqueued."""
        self._core.enqueue(read_batch(payload) if message_format == BATCH_FORMAT else [read_message(payload)])


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
