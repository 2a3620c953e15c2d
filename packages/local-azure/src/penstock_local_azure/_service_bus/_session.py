"""A session: numbers transfers, keeps to the peer's window, and leads each frame to its link."""

from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ._attaching import claim_of, make_link
from ._authorization import Claim, forced_detach
from ._errors import NOT_ALLOWED, UNATTACHED_HANDLE, AmqpError
from ._frames import HEADER_SIZE
from ._incoming import MAX_MESSAGE_SIZE, IncomingLink
from ._outcomes import read_outcome, write_outcome
from ._outgoing import OutgoingLink, QueueOutlet, ReplyOutlet
from ._peer_window import PeerWindow
from ._performatives import (
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
    encode_performative,
)
from ._types import Described, Value

if TYPE_CHECKING:
    from ._connection import Connection

_WINDOW: Final = 65_536
"""Transfers the peer may send before it hears of us again."""

_FIRST_ID: Final = 0x4000_0000
"""Where our ids start: far from the peer's, because some clients match a disposition by delivery id alone, whichever
direction it is about."""


class Session:
    """One session of a connection."""

    def __init__(self, connection: "Connection", channel: int, begin: Begin) -> None:
        self.grants = connection.grants
        self._connection = connection
        self._channel = channel
        self._links: dict[int, IncomingLink | OutgoingLink] = {}
        self._claims: dict[int, Claim] = {}
        self._detached: set[int] = set()
        self._unsettled: dict[int, tuple[QueueOutlet, UUID]] = {}
        self._next_incoming = begin.next_outgoing_id
        self._next_delivery = _FIRST_ID
        self._window = PeerWindow(_FIRST_ID, begin.incoming_window, partial(connection.send, channel))
        self._since_flow = 0
        self.send(Begin(channel, _FIRST_ID, _WINDOW, _WINDOW))

    # --- what links ask of it

    @property
    def ready(self) -> bool:
        """Whether the peer's window has room."""
        return self._window.is_open

    def send(self, performative: Performative) -> None:
        """Send one frame on this session's channel."""
        self._connection.send(self._channel, encode_performative(performative))

    def send_flow(self, **link: Value) -> None:
        """Tell the session's state, and a link's."""
        self._since_flow = 0
        self.send(Flow(self._next_incoming, _WINDOW, self._window.next, _WINDOW, **link))

    def transfer(self, handle: int, payload: bytes, tag: bytes, *, is_settled: bool) -> int:
        """Send a message in as many transfers as the peer's frame size asks for; return its delivery id."""
        delivery = self._next_delivery
        self._next_delivery += 1
        room = self._connection.max_frame_size - HEADER_SIZE
        transfer = Transfer(handle, delivery, tag, 0, is_settled)
        head = encode_performative(transfer)
        while len(head) + len(payload) > room:
            head = encode_performative(transfer._replace(more=True))
            cut = room - len(head)
            self._window.transmit(head + payload[:cut])
            payload = payload[cut:]
            transfer = Transfer(handle)  # what follows belongs to the same delivery and need not say so
            head = encode_performative(transfer)
        self._window.transmit(head + payload)
        return delivery

    def await_settlement(self, delivery: int, outlet: QueueOutlet, token: UUID) -> None:
        """Remember what a delivery id stands for."""
        self._unsettled[delivery] = (outlet, token)

    def reply_outlet(self, path: str, reply_to: str | None) -> ReplyOutlet | None:
        """Find the link that carries a node's replies: the one a request names, else the latest."""
        found = [link for link in self._links.values() if isinstance(link, ReplyOutlet) and link.path == path]
        named = [link for link in found if reply_to is not None and link.reply_to == reply_to]
        return (named or found)[-1] if found else None

    def link_of(self, delivery: int) -> int | None:
        """Return the handle of the link on which a delivery awaits its settlement; None if it does not."""
        held = self._unsettled.get(delivery)
        return None if held is None else held[0].handle

    def answer(self, attach: Attach, **told: Value) -> None:
        """Send our half of an attach: the same link seen from the other end."""
        ours = Attach(
            attach.name,
            attach.handle,
            not attach.role,
            attach.snd_settle_mode,
            attach.rcv_settle_mode,
            attach.source,
            attach.target,
            initial_delivery_count=0 if attach.role == RECEIVER else None,
            max_message_size=MAX_MESSAGE_SIZE,
        )
        self.send(ours._replace(**told))

    def refuse(self, attach: Attach, error: AmqpError) -> None:
        """Attach to nothing and detach at once: that is how a link is refused (part 2, section 2.6.3)."""
        self._links.pop(attach.handle, None)
        self._claims.pop(attach.handle, None)
        self.answer(attach, source=None, target=None)
        self._send_detach(attach.handle, error)

    def detach(self, handle: int, error: AmqpError | None) -> None:
        """Take a link away from the peer, and say why if there is a reason."""
        self._let_go(self._link(handle))
        self._send_detach(handle, error)

    def withdraw(self) -> None:
        """Take away the links that the connection's tokens no longer allow."""
        for handle, claim in list(self._claims.items()):
            if not self.grants.covers(claim):
                self.detach(handle, forced_detach(claim))

    def close(self) -> None:
        """End all links, as the peer has asked for."""
        for link in list(self._links.values()):
            self._let_go(link)

    def lost(self) -> None:
        """Forget all links: the connection is gone. Locks stay until they expire."""
        for link in self._links.values():
            if isinstance(link, OutgoingLink):
                link.lost()
        self._links.clear()

    def _send_detach(self, handle: int, error: AmqpError | None) -> None:
        self._detached.add(handle)
        self.send(Detach(handle, closed=True, error=None if error is None else error.composite()))

    # --- what the peer says

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

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming += 1
        self._since_flow += 1
        if transfer.handle not in self._detached:
            link = self._link(transfer.handle)
            if not isinstance(link, IncomingLink):
                raise AmqpError(NOT_ALLOWED, "a transfer on a link that carries messages the other way")
            link.on_transfer(transfer, payload)
        if self._since_flow > _WINDOW // 2:
            self.send_flow()

    def _on_disposition(self, disposition: Disposition) -> None:
        if disposition.role != RECEIVER or disposition.state is None:
            return
        last = disposition.first if disposition.last is None else disposition.last
        # The range is the peer's to choose: walk no further than our own ids go.
        for delivery in range(max(disposition.first, _FIRST_ID), min(last + 1, self._next_delivery)):
            if delivery in self._unsettled:
                self._settle(delivery, disposition.state, is_told=disposition.settled)

    def _settle(self, delivery: int, state: Described, *, is_told: bool) -> None:
        """Apply an outcome; unless the peer has settled already, answer with what was reached."""
        outcome = read_outcome(state)
        outlet, token = self._unsettled.pop(delivery)
        reached = outlet.settle(token, outcome)
        if not is_told:
            self.send(Disposition(SENDER, delivery, settled=True, state=write_outcome(reached)))

    def _on_flow(self, flow: Flow) -> None:
        self._window.on_flow(flow)
        if flow.handle is None:
            for link in self._links.values():
                if isinstance(link, OutgoingLink):
                    link.resume()
            if flow.echo:
                self.send_flow()
        elif flow.handle not in self._detached:
            link = self._link(flow.handle)
            if isinstance(link, OutgoingLink):  # a sender's flow only tells what it has
                link.on_flow(flow)

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle in self._links:
            raise AmqpError(NOT_ALLOWED, f"the handle {attach.handle} is in use")
        try:
            claim = claim_of(attach)
            self.grants.check(claim)  # before anything is said about the entity, as the service does
            link = make_link(self, attach, self._connection.namespace)
            link.open()
        except AmqpError as error:
            self.refuse(attach, error)
        else:
            self._links[attach.handle], self._claims[attach.handle] = link, claim

    def _on_detach(self, detach: Detach) -> None:
        if detach.handle in self._detached:  # the answer to ours
            self._detached.remove(detach.handle)
            return
        self._let_go(self._link(detach.handle))
        self.send(Detach(detach.handle, closed=detach.closed))

    def _let_go(self, link: IncomingLink | OutgoingLink) -> None:
        del self._links[link.handle], self._claims[link.handle]
        if isinstance(link, OutgoingLink):
            link.close()
        self._unsettled = {number: held for number, held in self._unsettled.items() if held[0] is not link}

    def _link(self, handle: int) -> IncomingLink | OutgoingLink:
        link = self._links.get(handle)
        if link is None:
            raise AmqpError(UNATTACHED_HANDLE, f"no link is attached as {handle}")
        return link
