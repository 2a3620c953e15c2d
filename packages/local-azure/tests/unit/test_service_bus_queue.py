"""The queue against an oracle that does everything the slow and obvious way."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_local_azure._service_bus._basic_queue import BasicQueue
from penstock_local_azure._service_bus._clock import Clock
from penstock_local_azure._service_bus._declarations import Queue, Subscription, Topic
from penstock_local_azure._service_bus._entries import Lock
from penstock_local_azure._service_bus._errors import MESSAGE_LOCK_LOST, MESSAGE_NOT_FOUND, NOT_ALLOWED, AmqpError
from penstock_local_azure._service_bus._namespace import Namespace
from penstock_local_azure._service_bus._queue import QueueCore
from penstock_local_azure._service_bus._sections import Message

LOCK, WINDOW, LIMIT, LIFE = 10.0, 60.0, 3, 6.0
EPOCH = 1_000_000.0
"""How far the wall clock is ahead of the steady one."""


@dataclass
class Record:
    """A message as the oracle sees it."""

    number: int
    state: str
    life: float | None
    deliveries: int = 0
    until: float = 0.0
    """When a lock expires or a scheduled message is due."""
    expires: float = inf
    token: UUID | None = None
    is_deferred: bool = False


class Oracle:
    """All messages in one list, every question answered by looking at each of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.buries_expired = False
        self.records: list[Record] = []
        self.dead: list[Record] = []
        self.ids: list[tuple[float, str]] = []
        self.suppressed: list[str] = []
        self.completed = 0
        self.expired = 0
        self.issued = 0

    def number(self) -> int:
        self.issued += 1
        return self.issued

    def enqueue(self, message_id: str | None, delay: float, life: float | None) -> int:
        number = self.number()
        recent = [known for seen, known in self.ids if seen + WINDOW > self.now]
        if message_id in recent:
            self.suppressed.append(str(message_id))
            return number
        if message_id is not None:
            self.ids.append((self.now, message_id))
        record = Record(number, "scheduled", life, until=self.now + delay)
        self.records.append(record)
        if not delay:
            self.admit(record)
        return number

    def admit(self, record: Record) -> None:
        record.state = "active"
        record.expires = inf if record.life is None else self.now + record.life

    def first(self) -> Record | None:
        return min((r for r in self.records if r.state == "active"), key=lambda r: r.number, default=None)

    def holding(self, token: UUID) -> Record | None:
        return next((r for r in self.records if r.token == token), None)

    def fetchable(self, number: int) -> Record | None:
        found = (r for r in self.records if r.number == number and r.state == "deferred" and r.expires > self.now)
        return next(found, None)

    def remove(self, record: Record) -> None:
        self.records.remove(record)
        self.completed += 1

    def give_back(self, record: Record) -> None:
        record.state, record.token = "deferred" if record.is_deferred else "active", None
        self.expire()

    def fail(self, record: Record) -> None:
        record.deliveries += 1
        if record.deliveries >= LIMIT:
            self.bury(record)
        else:
            self.give_back(record)

    def defer(self, record: Record) -> None:
        record.deliveries += 1
        record.is_deferred = True
        self.give_back(record)

    def bury(self, record: Record) -> None:
        record.state, record.token = "active", None
        self.records.remove(record)
        self.dead.append(record)

    def expire(self) -> None:
        for record in [r for r in self.records if r.state == "active" and r.expires <= self.now]:
            if self.buries_expired:
                self.bury(record)
            else:
                self.records.remove(record)
                self.expired += 1

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        waiting = [r for r in self.records if r.state in ("locked", "scheduled") and r.until <= self.now]
        for record in sorted(waiting, key=lambda r: (r.until, r.number)):
            if record.state == "locked":
                self.fail(record)
            else:
                record.number = self.number()
                self.admit(record)
        self.expire()


class QueueMachine(RuleBasedStateMachine):
    """Any sequence of operations leaves queue and oracle alike."""

    @initialize(buries_expired=st.booleans())
    def declare(self, *, buries_expired: bool) -> None:
        self.oracle = Oracle()
        self.oracle.buries_expired = buries_expired
        clock = Clock(lambda: self.oracle.now, lambda: self.oracle.now + EPOCH)
        declaration = Queue(
            "q",
            lock_duration=LOCK,
            max_delivery_count=LIMIT,
            duplicate_detection=WINDOW,
            dead_letter_on_expiration=buries_expired,
        )
        tokens = iter(range(1, 10**9))
        self.dead = BasicQueue("q/$DeadLetterQueue", LOCK, clock)
        self.queue = QueueCore(declaration, clock, self.dead, new_token=lambda: UUID(int=next(tokens)))
        self.tokens: list[UUID] = []

    @rule(
        message_id=st.none() | st.sampled_from("abc"),
        delay=st.sampled_from([0.0, 5.0, 30.0]),
        life=st.none() | st.just(LIFE),
    )
    def enqueue(self, message_id: str | None, delay: float, life: float | None) -> None:
        due = round((self.oracle.now + EPOCH + delay) * 1000) if delay else None
        milliseconds = None if life is None else round(life * 1000)
        message = Message(message_id=message_id, scheduled_for=due, time_to_live=milliseconds)

        (number,) = self.queue.enqueue([message])

        assert number == self.oracle.enqueue(message_id, delay, life)

    @rule()
    def lock(self) -> None:
        expected = self.oracle.first()

        lock = self.queue.lock()

        assert (lock is None) == (expected is None)
        if lock is not None and expected is not None:
            self._note(lock, expected)

    @rule(data=st.data())
    def lock_deferred(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.oracle.issued + 1))
        expected = self.oracle.fetchable(number)
        if expected is None:
            with pytest.raises(AmqpError, match=MESSAGE_NOT_FOUND):
                self.queue.lock_deferred([number])
            return

        (lock,) = self.queue.lock_deferred([number, number])

        self._note(lock, expected)

    def _note(self, lock: Lock, expected: Record) -> None:
        assert lock.entry.sequence_number == expected.number
        assert lock.entry.delivery_count == expected.deliveries
        expected.state, expected.token, expected.until = "locked", lock.token, self.oracle.now + LOCK
        self.tokens.append(lock.token)

    @rule()
    def take(self) -> None:
        expected = self.oracle.first()

        entry = self.queue.take()

        assert (entry and entry.sequence_number) == (expected and expected.number)
        if expected is not None:
            self.oracle.remove(expected)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), how=st.sampled_from(["complete", "abandon", "release", "defer", "dead_letter"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        token = data.draw(st.sampled_from(self.tokens[-4:]))
        arguments = ("reason", "description") if how == "dead_letter" else ()
        operation = getattr(self.queue, how)
        record = self.oracle.holding(token)
        if record is None:
            with pytest.raises(AmqpError, match=MESSAGE_LOCK_LOST):
                operation(token, *arguments)
            return

        operation(token, *arguments)

        match how:
            case "complete":
                self.oracle.remove(record)
            case "abandon":
                self.oracle.fail(record)
            case "release":
                self.oracle.give_back(record)
            case "defer":
                self.oracle.defer(record)
            case "dead_letter":
                self.oracle.bury(record)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.tokens[-4:]))
        record = self.oracle.holding(token)
        if record is None:
            with pytest.raises(AmqpError, match=MESSAGE_LOCK_LOST):
                self.queue.renew(token)
            return

        record.until = self.queue.renew(token)

        assert record.until == self.oracle.now + LOCK

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.oracle.issued + 1))
        record = next((r for r in self.oracle.records if r.number == number and r.state == "scheduled"), None)
        if record is None:
            with pytest.raises(AmqpError, match=MESSAGE_NOT_FOUND):
                self.queue.cancel(number)
            return

        self.queue.cancel(number)

        self.oracle.records.remove(record)

    @rule(seconds=st.sampled_from([0.25, 4.0, 9.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.oracle.pass_time(seconds)
        self.queue.advance()

    @invariant()
    def the_counts_agree(self) -> None:
        states = [record.state for record in self.oracle.records]
        assert self.queue.active == states.count("active")
        assert self.queue.locked == states.count("locked")
        assert self.queue.deferred == states.count("deferred")
        assert len(self.queue.entrance.scheduled) == states.count("scheduled")
        assert self.dead.active == len(self.oracle.dead)
        assert self.queue.completed == self.oracle.completed
        assert self.queue.expired == self.oracle.expired
        assert self.queue.entrance.suppressed == self.oracle.suppressed

    @invariant()
    def peeking_shows_every_message_in_order(self) -> None:
        for core, records in ((self.queue, self.oracle.records), (self.dead, self.oracle.dead)):
            expected = sorted((record.number, record.deliveries) for record in records)
            assert [(e.sequence_number, e.delivery_count) for e in core.peek(0, 10**6)] == expected
            assert [e.sequence_number for e in core.peek(3, 2)] == [n for n, _ in expected if n >= 3][:2]

    @invariant()
    def nothing_is_due_earlier_than_the_next_timer(self) -> None:
        records = self.oracle.records
        waiting = [record.until for record in records if record.state in ("locked", "scheduled")]
        living = [record.expires for record in records if record.state == "active" and record.expires < inf]
        due = self.queue.next_due()
        if waiting or living:
            assert due is not None
            assert due <= min(waiting + living) + 0.001


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestQueueAgainstOracle: Any = QueueMachine.TestCase


class HandClock:
    """Seconds that pass when told to."""

    now = 0.0


def _queues(hand: HandClock | None = None) -> tuple[QueueCore, BasicQueue]:
    """Make a queue and its dead-letter queue."""
    hand = hand or HandClock()
    clock = Clock(lambda: hand.now, lambda: hand.now + EPOCH)
    declaration = Queue("q", lock_duration=LOCK, duplicate_detection=WINDOW)
    dead = BasicQueue("q/$DeadLetterQueue", LOCK, clock)
    return QueueCore(declaration, clock, dead), dead


class TestTime:
    def test_a_renewed_lock_outlives_its_first_term_and_ends_with_its_second(self) -> None:
        hand = HandClock()
        queue, _ = _queues(hand)
        queue.enqueue([Message()])
        lock = queue.lock()
        assert lock is not None
        hand.now = LOCK - 1
        queue.renew(lock.token)

        hand.now = LOCK + 1
        queue.advance()
        assert queue.locked == 1
        hand.now = 2 * LOCK - 1
        queue.advance()
        assert (queue.locked, queue.active) == (0, 1)

    def test_an_id_is_new_again_from_the_end_of_its_window_on(self) -> None:
        hand = HandClock()
        queue, _ = _queues(hand)
        queue.enqueue([Message(message_id="a")])
        hand.now = WINDOW - 0.001
        queue.enqueue([Message(message_id="a")])
        assert queue.entrance.suppressed == ["a"]

        hand.now = WINDOW
        queue.enqueue([Message(message_id="a")])

        assert queue.entrance.suppressed == ["a"]

    def test_whoever_listens_hears_of_messages_and_appointments(self) -> None:
        queue, _ = _queues()
        heard: list[str] = []
        queue.changed = lambda: heard.append("changed")

        queue.enqueue([Message()])
        assert heard
        heard.clear()
        queue.enqueue([Message(scheduled_for=round((EPOCH + 5) * 1000))])
        assert heard


class TestDeadLetterQueue:
    def test_a_dead_letter_says_why_and_where_it_comes_from(self) -> None:
        queue, dead = _queues()
        queue.enqueue([Message()])
        lock = queue.lock()
        assert lock is not None

        queue.dead_letter(lock.token, "reason", None)

        (entry,) = dead.peek(0, 1)
        assert entry.source == "q"
        assert entry.message.application_properties.get("DeadLetterReason") == "reason"
        assert entry.message.application_properties.get("DeadLetterErrorDescription") is None

    def test_it_neither_counts_deliveries_nor_takes_dead_letters(self) -> None:
        queue, dead = _queues()
        queue.enqueue([Message()])
        lock = queue.lock()
        assert lock is not None
        queue.dead_letter(lock.token, None, None)
        for _ in range(20):
            dead_lock = dead.lock()
            assert dead_lock is not None
            dead.abandon(dead_lock.token)
        last = dead.lock()
        assert last is not None

        with pytest.raises(AmqpError, match=NOT_ALLOWED):
            dead.dead_letter(last.token, None, None)

        assert last.entry.delivery_count == 0
        assert (dead.active, dead.locked) == (0, 1)


class TestExpiry:
    @pytest.mark.parametrize(("asked", "told"), [(None, 60_000), (3_600_000, 60_000), (30_000, 30_000)])
    def test_a_message_lives_as_long_as_its_queue_allows(self, asked: int | None, told: int) -> None:
        hand = HandClock()
        clock = Clock(lambda: hand.now, lambda: hand.now)
        queue = QueueCore(Queue("q", time_to_live=60.0), clock, BasicQueue("dead", LOCK, clock))
        queue.enqueue([Message(time_to_live=asked)])
        (entry,) = queue.peek(0, 1)
        assert entry.message.time_to_live == told

        hand.now = told / 1000
        queue.advance()

        assert (queue.active, queue.expired) == (0, 1)

    def test_it_ends_in_the_dead_letter_queue(self) -> None:
        hand = HandClock()
        queue, dead = _queues(hand)
        queue.enqueue([Message(time_to_live=1000)])
        lock = queue.lock()
        assert lock is not None
        queue.dead_letter(lock.token, None, None)
        hand.now = 10 * LOCK

        dead.advance()

        assert dead.active == 1


def test_what_is_settled_in_time_leaves_no_appointment_behind() -> None:
    hand = HandClock()
    queue, _ = _queues(hand)
    queue.enqueue([Message(time_to_live=10**8) for _ in range(1000)])
    while (lock := queue.lock()) is not None:
        queue.complete(lock.token)

    assert queue.next_due() is None


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        (Queue, {"name": " "}, "name"),
        (Queue, {"lock_duration": 0.0}, "lock_duration"),
        (Queue, {"max_delivery_count": 0}, "max_delivery_count"),
        (Queue, {"duplicate_detection": -1.0}, "duplicate_detection"),
        (Queue, {"time_to_live": 0.0}, "time_to_live"),
        (Subscription, {"name": "a/b"}, "slash"),
        (Subscription, {"time_to_live": -1.0}, "time_to_live"),
        (Topic, {"name": ""}, "name"),
        (Topic, {"duplicate_detection": 0.0}, "duplicate_detection"),
    ],
)
def test_an_impossible_declaration_is_refused(
    kind: Callable[..., object], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        kind(**{"name": "q", **options})


@pytest.mark.parametrize(
    "entities", [[Queue("q"), Queue("Q")], [Queue("q"), Topic("q")], [Topic("t", ["a", Subscription("A")])]]
)
def test_a_path_is_declared_once(entities: list[Queue | Topic]) -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Namespace(entities, Clock(lambda: 0.0, lambda: 0.0))
