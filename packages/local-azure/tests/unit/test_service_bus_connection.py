"""The protocol engine driven frame by frame, without a socket: what clients other than the SDK may do, and worse."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import TypeVar

import pytest

from penstock_local_azure._guard import Guard
from penstock_local_azure._service_bus._authorization import Grants
from penstock_local_azure._service_bus._basic_queue import BasicQueue
from penstock_local_azure._service_bus._clock import Clock
from penstock_local_azure._service_bus._connection import Connection
from penstock_local_azure._service_bus._declarations import Queue
from penstock_local_azure._service_bus._encode import described, encode
from penstock_local_azure._service_bus._frames import (
    AMQP_HEADER,
    EMPTY,
    SASL,
    SASL_HEADER,
    Frame,
    FrameSplitter,
    join_frame,
)
from penstock_local_azure._service_bus._namespace import Namespace
from penstock_local_azure._service_bus._outcomes import (
    Accepted,
    Outcome,
    Rejected,
    Released,
    read_outcome,
    write_outcome,
)
from penstock_local_azure._service_bus._performatives import (
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
    decode_performative,
    encode_performative,
)
from penstock_local_azure._service_bus._sections import DATA, PROPERTIES
from penstock_local_azure._service_bus._types import Described, Symbol, UInt, ULong, Value

P = TypeVar("P", bound=Performative)

BODY = described(DATA, encode(b"body"))


class Peer:
    """The far end of an engine: speaks in performatives, listens to what comes back."""

    def __init__(self, namespace: Namespace, grants: Grants | None = None) -> None:
        self.engine = Connection(namespace, lambda: None, grants)
        self._splitter = FrameSplitter()
        self._deliveries = count()

    def open(self, *, max_frame_size: int = 65_536, window: int = 1000) -> None:
        self.engine.receive(AMQP_HEADER)
        self.say(Open("peer", max_frame_size=max_frame_size), channel=0)
        self.say(Begin(None, 0, window, window))
        self.hear()

    def say(self, performative: Performative, payload: bytes = b"", *, channel: int = 1, frame_type: int = 0) -> None:
        self.engine.receive(join_frame(channel, encode_performative(performative) + payload, frame_type))

    def hear_transfers(self) -> list[tuple[Transfer, bytes]]:
        return [(heard, payload) for heard, payload in self.hear() if isinstance(heard, Transfer)]

    def hear(self) -> list[tuple[Performative, bytes]]:
        items = self._splitter.feed(self.engine.take_output())
        return [decode_performative(item.body) for item in items if isinstance(item, Frame)]

    def heard(self, kind: type[P]) -> list[P]:
        return [performative for performative, _ in self.hear() if isinstance(performative, kind)]

    def attach_sender(self, queue: str = "q", handle: int = 0) -> None:
        self.say(Attach("s", handle, SENDER, source=_terminus(0x28, "me"), target=_terminus(0x29, queue)))

    def attach_receiver(self, queue: str = "q", handle: int = 1, credit: int = 0, settle_mode: int = 0) -> None:
        source, target = _terminus(0x28, queue), _terminus(0x29, "me")
        self.say(Attach(f"r{handle}", handle, RECEIVER, settle_mode, 1, source, target))
        self.grant(credit, handle=handle)

    def grant(self, credit: int, *, handle: int = 1, sent: int = 0, drain: bool = False) -> None:
        self.say(Flow(None, 1000, 0, 1000, handle, delivery_count=sent, link_credit=credit, drain=drain))

    def send(self, payload: bytes = BODY, *, handle: int = 0, settled: bool = False, more: bool = False) -> None:
        number = next(self._deliveries)
        self.say(Transfer(handle, number, bytes([number]), 0, settled, more), payload)

    def settle(self, first: int, last: int | None, outcome: Outcome, *, settled: bool = False) -> None:
        self.say(Disposition(RECEIVER, first, last, settled, write_outcome(outcome)))


def _terminus(code: int, address: str) -> Described:
    return Described(ULong(code), [address])


def _condition(error: Value) -> str:
    return str(error.value[0])


class Wall:
    """Seconds since the epoch, which pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def turn() -> None:
    """Let the event loop go round, so that queues wake and deliver: they do so in the turn after they are woken."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
async def namespace() -> AsyncIterator[Namespace]:
    namespace = Namespace([Queue("q", lock_duration=60.0)], Clock(lambda: 0.0, lambda: 0.0))
    namespace.open(asyncio.get_running_loop())
    yield namespace
    namespace.close()


@pytest.fixture
def peer(namespace: Namespace) -> Peer:
    peer = Peer(namespace)
    peer.open()
    return peer


def _counts(namespace: Namespace) -> dict[str, Value]:
    return {name: value for name, value in namespace.stats()["q"].items() if value}


class TestOpening:
    def test_sasl_comes_first_and_offers_anonymous(self, namespace: Namespace) -> None:
        peer = Peer(namespace)
        peer.engine.receive(SASL_HEADER)
        assert peer.hear() == [(SaslMechanisms([Symbol("ANONYMOUS")]), b"")]

        peer.say(SaslInit("ANONYMOUS"), channel=0, frame_type=SASL)

        assert peer.heard(SaslOutcome) == [SaslOutcome(0)]
        assert not peer.engine.closed

    def test_an_unknown_mechanism_is_refused(self, namespace: Namespace) -> None:
        peer = Peer(namespace)
        peer.engine.receive(SASL_HEADER)
        peer.hear()

        peer.say(SaslInit("PLAIN", b"\0user\0secret"), channel=0, frame_type=SASL)

        assert peer.heard(SaslOutcome) == [SaslOutcome(1)]
        assert peer.engine.closed

    def test_everything_may_come_in_one_piece_or_byte_by_byte(self, namespace: Namespace) -> None:
        opening = b"".join(
            (
                AMQP_HEADER,
                join_frame(0, encode_performative(Open("peer"))),
                EMPTY,
                join_frame(3, encode_performative(Begin(None, 0, 1, 1))),
            )
        )
        whole, slow = Connection(namespace, lambda: None), Connection(namespace, lambda: None)

        whole.receive(opening)
        for byte in opening:
            slow.receive(bytes([byte]))

        assert whole.take_output() == slow.take_output() != b""

    def test_another_protocol_is_answered_with_ours_and_the_end(self, namespace: Namespace) -> None:
        engine = Connection(namespace, lambda: None)

        engine.receive(b"AMQP\x00\x00\x09\x01")

        assert engine.take_output() == AMQP_HEADER
        assert engine.closed

    def test_output_is_announced_once_until_taken(self, namespace: Namespace) -> None:
        calls: list[None] = []
        engine = Connection(namespace, lambda: calls.append(None))

        engine.receive(AMQP_HEADER + join_frame(0, encode_performative(Open("peer"))))

        assert len(calls) == 1


class TestFaults:
    @pytest.mark.parametrize(
        ("frame", "condition"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", "amqp:connection:framing-error"),
            (b"\x00\x00\x00\x04\x02\x00\x00\x01", "amqp:connection:framing-error"),
            (join_frame(1, b"noise"), "amqp:decode-error"),
            (join_frame(1, described(0x12, encode([1]))), "amqp:decode-error"),
            (join_frame(1, described(0x12, encode(["name"]))), "amqp:decode-error"),
            (join_frame(1, described(0x99, encode([]))), "amqp:decode-error"),
            (join_frame(1, described(0x17, encode([None] * 9))), "amqp:decode-error"),
            (join_frame(9, encode_performative(Flow(0, 1, 0, 1))), "amqp:not-allowed"),
            (join_frame(1, encode_performative(Begin(None, 0, 1, 1))), "amqp:not-allowed"),
            (join_frame(1, encode_performative(Transfer(7, 0, b"", 0))), "amqp:session:unattached-handle"),
            (join_frame(1, encode_performative(Detach(7))), "amqp:session:unattached-handle"),
        ],
    )
    def test_a_peer_that_breaks_the_rules_is_told_which_and_cut_off(
        self, peer: Peer, frame: bytes, condition: str
    ) -> None:
        peer.engine.receive(frame)

        (close,) = peer.heard(Close)
        assert _condition(close.error) == condition
        assert peer.engine.closed

    def test_nothing_is_heard_after_the_end(self, peer: Peer) -> None:
        peer.say(Close(), channel=0)
        peer.attach_sender()

        assert [type(performative) for performative, _ in peer.hear()] == [Close]

    def test_sessions_need_an_open_connection(self, namespace: Namespace) -> None:
        peer = Peer(namespace)
        peer.engine.receive(AMQP_HEADER)

        peer.say(Begin(None, 0, 1, 1))

        assert peer.engine.closed

    @pytest.mark.parametrize(
        ("source", "target", "condition"),
        [
            (_terminus(0x28, "me"), _terminus(0x29, "nowhere"), "amqp:not-found"),
            (_terminus(0x28, "me"), _terminus(0x29, "nowhere/$management"), "amqp:not-found"),
            (_terminus(0x28, "me"), None, "amqp:invalid-field"),
            (_terminus(0x28, "me"), Described(ULong(0x30), []), "amqp:not-implemented"),
            (_terminus(0x28, "me"), _terminus(0x29, "q/$deadletterqueue"), "amqp:not-allowed"),
        ],
    )
    def test_a_link_that_cannot_be_is_attached_to_nothing_and_detached_with_the_reason(
        self, peer: Peer, source: Described, target: Described | None, condition: str
    ) -> None:
        peer.say(Attach("s", 0, SENDER, source=source, target=target))

        (attach, _), (detach, _) = peer.hear()
        assert isinstance(attach, Attach)
        assert isinstance(detach, Detach)
        assert (attach.source, attach.target) == (None, None)
        assert detach.closed
        assert _condition(detach.error) == condition
        peer.say(Detach(0, closed=True))
        peer.attach_sender()
        assert [answer.name for answer in peer.heard(Attach)] == ["s"]


class TestSending:
    def test_a_delivery_in_several_transfers_is_one_message(self, peer: Peer, namespace: Namespace) -> None:
        peer.attach_sender()
        peer.hear()
        peer.send(BODY[:3], more=True)
        peer.say(Transfer(0, more=True), BODY[3:5])

        peer.say(Transfer(0), BODY[5:])

        (disposition,) = peer.heard(Disposition)
        assert (disposition.role, disposition.first, disposition.settled) == (RECEIVER, 0, True)
        assert disposition.state == write_outcome(Accepted())
        assert _counts(namespace) == {"active": 1, "enqueued": 1}

    def test_an_aborted_delivery_leaves_nothing(self, peer: Peer, namespace: Namespace) -> None:
        peer.attach_sender()
        peer.hear()
        peer.send(BODY[:3], more=True)
        peer.say(Transfer(0, aborted=True))

        peer.send(BODY)

        assert len(peer.heard(Disposition)) == 1
        assert _counts(namespace) == {"active": 1, "enqueued": 1}

    def test_what_was_sent_settled_is_not_answered(self, peer: Peer, namespace: Namespace) -> None:
        peer.attach_sender()
        peer.hear()

        peer.send(settled=True)

        assert peer.hear() == []
        assert _counts(namespace) == {"active": 1, "enqueued": 1}

    @pytest.mark.parametrize(
        ("payload", "condition"),
        [(b"noise", "amqp:decode-error"), (bytes(1024 * 1024 + 1), "amqp:link:message-size-exceeded")],
    )
    def test_a_bad_message_is_rejected_and_the_link_goes_on(
        self, peer: Peer, namespace: Namespace, payload: bytes, condition: str
    ) -> None:
        peer.attach_sender()
        peer.hear()
        pieces = [payload[start : start + 60_000] for start in range(0, len(payload), 60_000)]
        peer.send(pieces[0], more=len(pieces) > 1)
        for place, piece in enumerate(pieces[1:], 2):
            peer.say(Transfer(0, more=place < len(pieces)), piece)
        peer.send(BODY)

        first, second = [read_outcome(found.state or Described(0, [])) for found in peer.heard(Disposition)]

        assert isinstance(first, Rejected)
        assert _condition(first.error) == condition
        assert second == Accepted()
        assert _counts(namespace) == {"active": 1, "enqueued": 1}

    def test_credit_is_granted_at_once_and_topped_up(self, peer: Peer) -> None:
        peer.attach_sender()
        granted = [peer.heard(Flow)[0]]
        for number in range(500):
            peer.say(Transfer(0, number, b"t", 0, settled=True), BODY)
        granted += peer.heard(Flow)

        assert [(flow.handle, flow.delivery_count, flow.link_credit) for flow in granted] == [
            (0, 0, 1000),
            (0, 500, 1000),
        ]


@pytest.fixture
def three(peer: Peer) -> Peer:
    """A peer that has sent three messages."""
    peer.attach_sender()
    for _ in range(3):
        peer.send()
    peer.hear()
    return peer


class TestReceiving:
    async def test_as_many_messages_come_as_there_is_credit(self, three: Peer, namespace: Namespace) -> None:
        three.attach_receiver(credit=2)
        await turn()

        first, second = three.heard(Transfer)

        assert (first.handle, first.settled, len(first.delivery_tag or b"")) == (1, False, 16)
        assert second.delivery_id == (first.delivery_id or 0) + 1
        assert _counts(namespace) == {"active": 1, "locked": 2, "enqueued": 3}

    async def test_a_range_of_deliveries_is_settled_at_once(self, three: Peer, namespace: Namespace) -> None:
        three.attach_receiver(credit=3)
        await turn()
        ids = [transfer.delivery_id or 0 for transfer in three.heard(Transfer)]

        three.settle(ids[0], ids[-1], Accepted())

        answers = three.heard(Disposition)
        assert [(a.role, a.first, a.settled) for a in answers] == [(SENDER, number, True) for number in ids]
        assert _counts(namespace) == {"enqueued": 3, "completed": 3}

    async def test_a_range_wider_than_what_was_delivered_harms_nobody(self, three: Peer, namespace: Namespace) -> None:
        three.attach_receiver(credit=1)
        await turn()

        three.settle(0, 0xFFFF_FFFF, Accepted(), settled=True)

        assert _counts(namespace) == {"active": 2, "enqueued": 3, "completed": 1}
        assert three.heard(Disposition) == []

    async def test_a_delivery_settled_twice_is_settled_once(self, three: Peer, namespace: Namespace) -> None:
        three.attach_receiver(credit=1)
        await turn()
        (transfer,) = three.heard(Transfer)
        three.settle(transfer.delivery_id or 0, None, Accepted())

        three.settle(transfer.delivery_id or 0, None, Released())

        assert len(three.heard(Disposition)) == 1
        assert _counts(namespace) == {"active": 2, "enqueued": 3, "completed": 1}

    async def test_a_released_message_comes_back_uncounted(self, three: Peer) -> None:
        three.attach_receiver(credit=1)
        await turn()
        ((transfer, payload),) = three.hear_transfers()
        three.settle(transfer.delivery_id or 0, None, Released())
        three.grant(1, sent=1)
        await turn()

        assert [again for _, again in three.hear_transfers()] == [payload]

    async def test_a_rejection_without_the_vendors_condition_dead_letters_with_its_own(
        self, three: Peer, namespace: Namespace
    ) -> None:
        three.attach_receiver(credit=1)
        await turn()
        (transfer,) = three.heard(Transfer)
        error = Described(ULong(0x1D), [Symbol("app:broken"), "it broke"])

        three.settle(transfer.delivery_id or 0, None, Rejected(error))

        dead_letters = namespace.node("q/$DeadLetterQueue").core
        assert isinstance(dead_letters, BasicQueue)
        (dead,) = dead_letters.peek(0, 1)
        assert dead.message.application_properties.get("DeadLetterReason") == "app:broken"
        assert dead.message.application_properties.get("DeadLetterErrorDescription") == "it broke"

    async def test_receivers_are_served_in_turn(self, three: Peer) -> None:
        three.attach_receiver(handle=1, credit=10)
        three.attach_receiver(handle=2, credit=10)
        await turn()

        assert sorted(transfer.handle for transfer in three.heard(Transfer)) in ([1, 1, 2], [1, 2, 2])

    async def test_a_drained_link_says_that_its_credit_is_gone(self, three: Peer) -> None:
        three.attach_receiver(credit=10)
        await turn()
        three.hear()

        three.grant(10, drain=True)

        (flow,) = three.heard(Flow)
        assert (flow.handle, flow.delivery_count, flow.link_credit, flow.drain) == (1, 10, 0, True)

    async def test_withdrawn_credit_is_not_used(self, three: Peer, namespace: Namespace) -> None:
        three.attach_receiver(credit=1)
        three.grant(0)
        await turn()

        assert three.heard(Transfer) == []
        assert _counts(namespace) == {"active": 3, "enqueued": 3}

    async def test_deliveries_wait_while_the_peers_window_is_closed(self, namespace: Namespace) -> None:
        peer = Peer(namespace)
        peer.open(window=2)
        peer.attach_sender()
        for _ in range(5):
            peer.send()
        peer.say(Attach("r", 1, RECEIVER, 0, 1, _terminus(0x28, "q"), _terminus(0x29, "me")))
        peer.say(Flow(None, 2, 0, 1000, 1, delivery_count=0, link_credit=10))
        await turn()
        first = peer.heard(Transfer)
        assert len(first) == 2

        peer.say(Flow((first[0].delivery_id or 0) + 2, 2, 0, 1000))
        await turn()

        assert len(peer.heard(Transfer)) == 2
        assert _counts(namespace) == {"active": 1, "locked": 4, "enqueued": 5}

    async def test_a_large_message_is_cut_to_the_peers_frame_size(self, namespace: Namespace) -> None:
        peer = Peer(namespace)
        peer.open(max_frame_size=512, window=3)
        peer.attach_sender()
        body = described(DATA, encode(bytes(range(256)) * 8))
        peer.send(body)
        peer.say(Attach("r", 1, RECEIVER, 0, 1, _terminus(0x28, "q"), _terminus(0x29, "me")))
        peer.say(Flow(None, 3, 0, 1000, 1, delivery_count=0, link_credit=10))
        await turn()
        held = peer.hear_transfers()
        assert len(held) == 3
        peer.say(Flow((held[0][0].delivery_id or 0) + 3, 1000, 0, 1000))

        parts = held + peer.hear_transfers()

        assert [transfer.more for transfer, _ in parts] == [True] * (len(parts) - 1) + [False]
        assert all(len(payload) < 512 for _, payload in parts)
        assert b"".join(payload for _, payload in parts).endswith(body)

    async def test_a_lost_connection_leaves_its_locks(self, three: Peer, namespace: Namespace) -> None:
        three.attach_receiver(credit=2)
        await turn()

        three.engine.lost()
        await turn()

        assert _counts(namespace) == {"active": 1, "locked": 2, "enqueued": 3}

    @pytest.mark.parametrize("end", [Detach(1, closed=True), End()])
    async def test_a_receiver_that_left_gets_nothing_more(
        self, three: Peer, namespace: Namespace, end: Performative
    ) -> None:
        three.attach_receiver(credit=1)
        await turn()
        three.grant(5, sent=1)

        three.say(end)
        await turn()

        assert type(end) in [type(performative) for performative, _ in three.hear()]
        assert _counts(namespace)["locked"] == 1

    async def test_a_receiver_that_wants_its_messages_settled_gets_them_for_good(
        self, three: Peer, namespace: Namespace
    ) -> None:
        three.attach_receiver(credit=2, settle_mode=1)
        await turn()

        assert [transfer.settled for transfer in three.heard(Transfer)] == [True, True]
        assert _counts(namespace) == {"active": 1, "enqueued": 3, "completed": 2}


class TestRequests:
    def _ask(self, peer: Peer, reply_to: str | None = None) -> None:
        properties = described(0x73, encode(["request-1", None, None, None, reply_to]))
        operation = described(0x74, encode({"operation": "com.microsoft:peek-message"}))
        peer.send(properties + operation + described(0x77, encode({})), handle=5)

    def _attach(self, peer: Peer, handle: int, address: str, credit: int) -> None:
        source, target = _terminus(0x28, "q/$management"), _terminus(0x29, address)
        peer.say(Attach(f"reply-{handle}", handle, RECEIVER, source=source, target=target))
        peer.grant(credit, handle=handle)

    @pytest.fixture
    def asking(self, peer: Peer) -> Peer:
        source, target = _terminus(0x28, "me"), _terminus(0x29, "amqp://host/q/$management")
        peer.say(Attach("ask", 5, SENDER, source=source, target=target))
        peer.hear()
        return peer

    def test_a_reply_goes_to_the_link_the_request_names(self, asking: Peer) -> None:
        self._attach(asking, 6, "mine", credit=1)
        self._attach(asking, 7, "theirs", credit=1)
        asking.hear()

        self._ask(asking, reply_to="mine")

        assert [transfer.handle for transfer in asking.heard(Transfer)] == [6]

    def test_a_reply_waits_for_credit(self, asking: Peer) -> None:
        self._attach(asking, 6, "mine", credit=0)
        self._ask(asking)
        assert asking.heard(Transfer) == []

        asking.grant(1, handle=6)

        assert len(asking.heard(Transfer)) == 1

    def test_a_request_nobody_listens_to_is_rejected(self, asking: Peer) -> None:
        self._ask(asking)

        (disposition,) = asking.heard(Disposition)
        outcome = read_outcome(disposition.state or Described(0, []))
        assert isinstance(outcome, Rejected)
        assert _condition(outcome.error) == "amqp:not-found"


class TestTokens:
    """With a guard that takes any token, until an instant of the test's."""

    @pytest.fixture
    def wall(self) -> Wall:
        return Wall()

    @pytest.fixture
    def peer(self, namespace: Namespace, wall: Wall) -> Peer:
        peer = Peer(namespace, Grants(Guard([], lambda _token, _audiences: 60.0, accepts_keys=False), wall))
        peer.open()
        return peer

    def test_a_link_is_refused_before_anything_is_said_about_its_entity(self, peer: Peer) -> None:
        peer.attach_sender("q", handle=0)
        peer.attach_receiver("no such queue", handle=1)

        heard = peer.heard(Detach)

        assert [_condition(detach.error) for detach in heard if detach.error] == ["amqp:unauthorized-access"] * 2

    def test_only_links_whose_token_has_expired_are_detached(self, peer: Peer, wall: Wall) -> None:
        peer.engine.grants.put("q", "token", is_key=False)
        peer.attach_sender("q", handle=0)
        peer.attach_receiver("$cbs", handle=1)
        peer.hear()
        wall.seconds = 59.0
        peer.engine.expire_tokens()
        assert peer.hear() == []

        wall.seconds = 60.0
        peer.engine.expire_tokens()

        (detach,) = peer.heard(Detach)
        assert (detach.handle, detach.closed) == (0, True)
        assert detach.error
        assert _condition(detach.error) == "amqp:link:detach-forced"

    async def test_what_was_sent_before_the_peer_heard_of_it_is_lost_and_the_connection_is_not(
        self, peer: Peer, wall: Wall, namespace: Namespace
    ) -> None:
        peer.engine.grants.put("q", "token", is_key=False)
        peer.attach_sender("q")
        wall.seconds = 60.0
        peer.engine.expire_tokens()
        peer.hear()

        peer.send()
        peer.say(Detach(0, closed=True))
        wall.seconds = 0.0
        peer.engine.grants.put("q", "token", is_key=False)
        peer.attach_sender("q")
        peer.send()

        assert [type(heard) for heard, _ in peer.hear()] == [Attach, Flow, Disposition]
        assert _counts(namespace) == {"active": 1, "enqueued": 1}


class TestMessageSessions:
    """Service Bus's own sessions, each granted to one link."""

    @pytest.fixture
    async def hand(self) -> list[float]:
        """The time, in seconds, in a list of one."""
        return [0.0]

    @pytest.fixture
    async def namespace(self, hand: list[float]) -> AsyncIterator[Namespace]:
        queue = Queue("q", lock_duration=60.0, requires_session=True)
        namespace = Namespace([queue], Clock(lambda: hand[0], lambda: hand[0]))
        namespace.open(asyncio.get_running_loop())
        yield namespace
        namespace.close()

    def _ask(self, peer: Peer, session_id: str | None, *, handle: int = 1, within: int = 5000) -> None:
        source = Described(ULong(0x28), ["q", *[None] * 6, {Symbol("com.microsoft:session-filter"): session_id}])
        properties: dict[str, Value] = {Symbol("com.microsoft:timeout"): UInt(within)}
        name, target = f"r{handle}", _terminus(0x29, "me")
        peer.say(Attach(name, handle, RECEIVER, 0, 1, source, target, properties=properties))

    def _send(self, peer: Peer, session_id: str) -> None:
        properties = described(PROPERTIES, encode([*[None] * 10, session_id]))
        peer.attach_sender()
        peer.send(properties + BODY)

    async def test_the_grant_tells_the_session_and_until_when_it_is_locked(self, peer: Peer) -> None:
        self._ask(peer, "a")

        (attach,) = peer.heard(Attach)
        assert attach.source is not None
        assert attach.source.value[7] == {"com.microsoft:session-filter": "a"}
        assert attach.properties == {"com.microsoft:locked-until-utc": 621_355_968_600_000_000}

    async def test_the_attach_waits_for_a_session(self, peer: Peer) -> None:
        self._ask(peer, None)
        peer.grant(1)
        assert peer.heard(Attach) == []

        self._send(peer, "a")
        await turn()

        heard = [type(performative) for performative, _ in peer.hear()]
        assert heard.index(Attach, heard.index(Attach) + 1) < heard.index(Transfer)

    async def test_an_attach_that_waits_too_long_is_refused(
        self, peer: Peer, namespace: Namespace, hand: list[float]
    ) -> None:
        self._ask(peer, None, within=5000)
        hand[0] = 5.0
        namespace.node("q").wake()
        await turn()

        (attach, _), (detach, _) = peer.hear()
        assert isinstance(attach, Attach)
        assert isinstance(detach, Detach)
        assert attach.source is None
        assert _condition(detach.error) == "com.microsoft:timeout"

    async def test_a_lost_lock_detaches_the_link_and_what_still_comes_on_it_is_ignored(
        self, peer: Peer, namespace: Namespace, hand: list[float]
    ) -> None:
        self._ask(peer, "a")
        hand[0] = 60.0
        namespace.node("q").wake()
        await turn()
        (detach,) = peer.heard(Detach)
        assert _condition(detach.error) == "com.microsoft:session-lock-lost"

        peer.grant(1)
        peer.say(Detach(1, closed=True))
        self._ask(peer, "a")

        assert [attach.name for attach in peer.heard(Attach)] == ["r1"]

    @pytest.mark.parametrize("farewell", [Detach(1, closed=True), End(), Close()])
    async def test_a_farewell_frees_the_session(self, peer: Peer, namespace: Namespace, farewell: Performative) -> None:
        self._ask(peer, "a")
        peer.say(farewell)

        other = Peer(namespace)
        other.open()
        self._ask(other, "a")

        assert other.heard(Detach) == []

    async def test_a_lost_connection_does_not(self, peer: Peer, namespace: Namespace, hand: list[float]) -> None:
        self._ask(peer, "a")
        self._ask(peer, None, handle=2)
        peer.engine.lost()
        other = Peer(namespace)
        other.open()

        self._ask(other, "a")
        (detach,) = other.heard(Detach)
        assert _condition(detach.error) == "com.microsoft:session-cannot-be-locked"

        hand[0] = 60.0
        other.say(Detach(1, closed=True))
        self._send(other, "b")
        self._ask(other, "a")
        self._ask(other, None, handle=2)
        assert other.heard(Detach) == []
