"""A session: numbers transfers, keeps to the peer's window, and leads each frame to its link."""

from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ._cbs import CBS_DIALECT, answer_cbs
from ._errors import (
    INVALID_FIELD,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    UNATTACHED_HANDLE,
    AmqpError,
)
from ._frames import HEADER_SIZE
from ._links import MAX_MESSAGE_SIZE, IncomingLink, OutgoingLink, QueueInlet, QueueOutlet, ReplyOutlet, RequestInlet
from ._management import MANAGEMENT_DIALECT, answer_management
from ._namespace import CBS, DEAD_LETTER_SUFFIX, MANAGEMENT_SUFFIX, path_of
from ._outcomes import read_outcome, write_outcome
from ._performatives import (
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Detach,
    Disposition,
    End,
    Flow,
    Performative,
    Transfer,
    encode_performative,
)
from ._types import Described

if TYPE_CHECKING:
    from ._connection import Connection

_WINDOW = 65_536
"""Transfers the peer may send before it hears of us again."""

_FIRST_ID = 0x4000_0000
"""Where our delivery ids start: far from the peer's, because some clients match a disposition by id alone, whichever
direction it is about."""

_SERIAL = 0x1_0000_0000
"""Ids are serial numbers of 32 bits: they wrap."""


class Session:
    """One session of a connection."""

    def __init__(self, connection: "Connection", channel: int, begin: Begin) -> None:
        self._connection = connection
        self._channel = channel
        self._links: dict[int, IncomingLink | OutgoingLink] = {}
        self._refused: set[int] = set()
        self._unsettled: dict[int, tuple[QueueOutlet, UUID]] = {}
        self._next_incoming = begin.next_outgoing_id
        self._next_outgoing = _FIRST_ID
        self._next_delivery = _FIRST_ID
        self._room = begin.incoming_window
        self._held_back: deque[bytes] = deque()
        self._since_flow = 0
        self.send(Begin(channel, _FIRST_ID, _WINDOW, _WINDOW))

    # --- towards the peer

    @property
    def ready(self) -> bool:
        """Whether the peer's window has room."""
        return self._room > 0 and not self._held_back

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        """Send one frame on this session's channel."""
        self._connection.send(self._channel, encode_performative(performative) + payload)

    def send_flow(self, **link: Any) -> None:
        """Tell the session's state, and a link's."""
        self._since_flow = 0
        self.send(Flow(self._next_incoming, _WINDOW, self._next_outgoing, _WINDOW, **link))

    def transfer(self, handle: int, payload: bytes, tag: bytes, *, settled: bool) -> int:
        """Send a message in as many transfers as the peer's frame size asks for; return its delivery id."""
        delivery = self._next_delivery
        self._next_delivery = (delivery + 1) % _SERIAL
        whole = encode_performative(Transfer(handle, delivery, tag, 0, settled))
        room = self._connection.max_frame_size - HEADER_SIZE
        if len(whole) + len(payload) <= room:
            self._transmit(whole + payload)
            return delivery
        first = encode_performative(Transfer(handle, delivery, tag, 0, settled, more=True))
        start, end = 0, room - len(first)
        self._transmit(first + payload[:end])
        while end < len(payload):
            start = end
            part = encode_performative(Transfer(handle, more=True))
            end = start + room - len(part)
            if end >= len(payload):
                part = encode_performative(Transfer(handle))
            self._transmit(part + payload[start:end])
        return delivery

    def await_settlement(self, delivery: int, outlet: QueueOutlet, token: UUID) -> None:
        """Remember what a delivery id stands for."""
        self._unsettled[delivery] = (outlet, token)

    def reply_outlet(self, path: str, reply_to: str | None) -> ReplyOutlet | None:
        """Find the link that carries a node's replies: the one named, else the latest."""
        found = [link for link in self._links.values() if isinstance(link, ReplyOutlet) and link.path == path]
        named = [link for link in found if reply_to is not None and link.reply_to == reply_to]
        return (named or found or [None])[-1]

    def _transmit(self, body: bytes) -> None:
        """Send a transfer, or hold it back until the peer opens its window."""
        if self._room > 0:
            self._room -= 1
            self._next_outgoing = (self._next_outgoing + 1) % _SERIAL
            self._connection.send(self._channel, body)
        else:
            self._held_back.append(body)

    # --- from the peer

    def handle(self, performative: Performative, payload: bytes) -> None:
        """Act on a frame.

        Raises:
            AmqpError: if the session cannot go on.
            DecodeError: the same.
        """
        match performative:
            case Transfer():
                self._on_transfer(performative, payload)
            case Disposition():
                self._on_disposition(performative)
            case Flow():
                self._on_flow(performative)
            case Attach():
                self._on_attach(performative)
            case Detach():
                self._on_detach(performative)
            case _:
                raise AmqpError(NOT_ALLOWED, f"{type(performative).__name__} inside a session")

    def close(self) -> None:
        """Let go of all links."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._unsettled.clear()

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming = (self._next_incoming + 1) % _SERIAL
        self._since_flow += 1
        link = self._link(transfer.handle)
        if not isinstance(link, IncomingLink):
            raise AmqpError(NOT_ALLOWED, "a transfer on a link that carries messages the other way")
        link.on_transfer(transfer, payload)
        if self._since_flow > _WINDOW // 2:
            self.send_flow()

    def _on_disposition(self, disposition: Disposition) -> None:
        if disposition.role != RECEIVER:
            return
        last = disposition.first if disposition.last is None else disposition.last
        for delivery in range(disposition.first, min(last, self._next_delivery) + 1):
            if delivery in self._unsettled and disposition.state is not None:
                self._settle(delivery, disposition)

    def _settle(self, delivery: int, disposition: Disposition) -> None:
        outlet, token = self._unsettled.pop(delivery)
        reached = outlet.settle(token, read_outcome(disposition.state or Described(0, [])))
        if not disposition.settled:
            self.send(Disposition(SENDER, delivery, settled=True, state=write_outcome(reached)))

    def _on_flow(self, flow: Flow) -> None:
        known = _FIRST_ID if flow.next_incoming_id is None else flow.next_incoming_id
        self._room = known + flow.incoming_window - self._next_outgoing
        while self._held_back and self._room > 0:
            self._transmit(self._held_back.popleft())
        if flow.handle is not None and flow.handle not in self._refused:
            self._link(flow.handle).on_flow(flow)
            return
        for link in self._links.values():
            if isinstance(link, OutgoingLink):
                link.resume()
        if flow.echo:
            self.send_flow()

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle in self._links:
            raise AmqpError(NOT_ALLOWED, f"the handle {attach.handle} is in use")
        try:
            link = self._make_link(attach)
        except AmqpError as error:
            self._refuse(attach, error)
            return
        self._links[attach.handle] = link
        is_incoming = isinstance(link, IncomingLink)
        self.send(
            attach._replace(
                role=not attach.role,
                unsettled=None,
                initial_delivery_count=None if is_incoming else 0,
                max_message_size=MAX_MESSAGE_SIZE,
                desired_capabilities=None,
                properties=None,
            )
        )
        if isinstance(link, IncomingLink):
            link.grant()

    def _refuse(self, attach: Attach, error: AmqpError) -> None:
        """Attach without a terminus and detach at once: how a link is refused (part 2, section 2.6.3)."""
        ours = attach._replace(role=not attach.role, unsettled=None, properties=None)
        if attach.role == SENDER:
            self.send(ours._replace(target=None))
        else:
            self.send(ours._replace(source=None, initial_delivery_count=0))
        self.send(Detach(attach.handle, closed=True, error=error.composite()))
        self._refused.add(attach.handle)

    def _on_detach(self, detach: Detach) -> None:
        if detach.handle in self._refused:
            self._refused.remove(detach.handle)
            return
        link = self._link(detach.handle)
        del self._links[detach.handle]
        link.close()
        self._unsettled = {number: held for number, held in self._unsettled.items() if held[0] is not link}
        self.send(Detach(detach.handle, closed=detach.closed))

    def _link(self, handle: int) -> IncomingLink | OutgoingLink:
        link = self._links.get(handle)
        if link is None:
            raise AmqpError(UNATTACHED_HANDLE, f"no link is attached as {handle}")
        return link

    def _make_link(self, attach: Attach) -> IncomingLink | OutgoingLink:
        """Make the link an attach asks for, according to the address of its far end."""
        path = _address(attach.target if attach.role == SENDER else attach.source)
        if path == CBS or path.lower().endswith(MANAGEMENT_SUFFIX):
            return self._make_request_link(attach, path)
        node = self._connection.namespace.node(path)
        if attach.role == RECEIVER:
            _refuse_filters(attach.source)
            return QueueOutlet(self, attach, node)
        if path.lower().endswith(DEAD_LETTER_SUFFIX.lower()):
            raise AmqpError(NOT_ALLOWED, f"messages cannot be sent to '{path}'")
        return QueueInlet(self, attach, node)

    def _make_request_link(self, attach: Attach, path: str) -> IncomingLink | OutgoingLink:
        if attach.role == RECEIVER:
            return ReplyOutlet(self, attach, path, _reply_to(attach.target))
        if path == CBS:
            return RequestInlet(self, attach, path, answer_cbs, CBS_DIALECT)
        core = self._connection.namespace.node(path[: -len(MANAGEMENT_SUFFIX)]).core
        return RequestInlet(self, attach, path, lambda request: answer_management(core, request), MANAGEMENT_DIALECT)


_COORDINATOR = 0x30
_FILTER = 7


def _address(terminus: Described | None) -> str:
    """Return the path a source or target names."""
    if terminus is None or not isinstance(terminus.value, list) or not terminus.value or terminus.value[0] is None:
        raise AmqpError(INVALID_FIELD, "a link without an address")
    if terminus.descriptor == _COORDINATOR:
        raise AmqpError(NOT_IMPLEMENTED, "the local Service Bus has no transactions")
    return path_of(terminus.value[0])


def _reply_to(target: Described | None) -> str | None:
    return str(target.value[0]) if target is not None and target.value else None


def _refuse_filters(source: Described | None) -> None:
    """Refuse what would change which messages arrive: sessions, above all."""
    filters = source.value[_FILTER] if source is not None and len(source.value) > _FILTER else None
    if filters:
        names = ", ".join(sorted(map(str, filters)))
        raise AmqpError(NOT_IMPLEMENTED, f"the local Service Bus does not filter by {names} yet")
