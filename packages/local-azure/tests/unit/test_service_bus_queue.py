"""The queue against an oracle that does everything the slow and obvious way."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_local_azure._service_bus._basic_queue import BasicQueue
from penstock_local_azure._service_bus._clock import Clock
from penstock_local_azure._service_bus._declarations import Queue
from penstock_local_azure._service_bus._errors import MESSAGE_LOCK_LOST, MESSAGE_NOT_FOUND, NOT_ALLOWED, AmqpError
from penstock_local_azure._service_bus._queue import QueueCore
from penstock_local_azure._service_bus._sections import Message

LOCK, WINDOW, LIMIT = 10.0, 60.0, 3
EPOCH = 1_000_000.0
"""How far the wall clock is ahead of the steady one."""


@dataclass
class Record:
    """A message as the oracle sees it."""

    number: int
    state: str
    deliveries: int = 0
    until: float = 0.0
    """When a lock expires or a scheduled message is due."""
    token: UUID | None = None


class Oracle:
    """All messages in one list, every question answered by looking at each of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.records: list[Record] = []
        self.dead: list[Record] = []
        self.ids: list[tuple[float, str]] = []
        self.suppressed: list[str] = []
        self.completed = 0
        self.issued = 0

    def number(self) -> int:
        self.issued += 1
        return self.issued

    def enqueue(self, message_id: str | None, delay: float) -> int:
        number = self.number()
        recent = [known for seen, known in self.ids if seen + WINDOW > self.now]
        if message_id in recent:
            self.suppressed.append(str(message_id))
            return number
        if message_id is not None:
            self.ids.append((self.now, message_id))
        state = "scheduled" if delay > 0 else "active"
        self.records.append(Record(number, state, until=self.now + delay))
        return number

    def first(self) -> Record | None:
        return min((r for r in self.records if r.state == "active"), key=lambda r: r.number, default=None)

    def holding(self, token: UUID) -> Record:
        return next(r for r in self.records if r.token == token)

    def fail(self, record: Record) -> None:
        record.deliveries += 1
        record.state, record.token = "active", None
        if record.deliveries >= LIMIT:
            self.bury(record)

    def bury(self, record: Record) -> None:
        record.state, record.token = "active", None
        self.records.remove(record)
        self.dead.append(record)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        waiting = [r for r in self.records if r.state != "active" and r.until <= self.now]
        for record in sorted(waiting, key=lambda r: (r.until, r.number)):
            if record.state == "locked":
                self.fail(record)
            else:
                record.state, record.number = "active", self.number()


class QueueMachine(RuleBasedStateMachine):
    """Any sequence of operations leaves queue and oracle alike."""

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        clock = Clock(lambda: self.oracle.now, lambda: self.oracle.now + EPOCH)
        declaration = Queue("q", lock_duration=LOCK, max_delivery_count=LIMIT, duplicate_detection=WINDOW)
        tokens = iter(range(1, 10**9))
        self.dead = BasicQueue("q/$DeadLetterQueue", LOCK, clock)
        self.queue = QueueCore(declaration, clock, self.dead, new_token=lambda: UUID(int=next(tokens)))
        self.tokens: list[UUID] = []

    @rule(message_id=st.none() | st.sampled_from("abc"), delay=st.sampled_from([0.0, 5.0, 30.0]))
    def enqueue(self, message_id: str | None, delay: float) -> None:
        due = round((self.oracle.now + EPOCH + delay) * 1000) if delay else None

        (number,) = self.queue.enqueue([Message(message_id=message_id, scheduled_for=due)])

        assert number == self.oracle.enqueue(message_id, delay)

    @rule()
    def lock(self) -> None:
        expected = self.oracle.first()

        lock = self.queue.lock()

        assert (lock is None) == (expected is None)
        if lock is None or expected is None:
            return
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
            self.oracle.records.remove(expected)
            self.oracle.completed += 1

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), how=st.sampled_from(["complete", "abandon", "release", "dead_letter"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        token = data.draw(st.sampled_from(self.tokens[-4:]))
        arguments = ("reason", "description") if how == "dead_letter" else ()
        operation = getattr(self.queue, how)
        if not any(record.token == token for record in self.oracle.records):
            with pytest.raises(AmqpError, match=MESSAGE_LOCK_LOST):
                operation(token, *arguments)
            return
        record = self.oracle.holding(token)

        operation(token, *arguments)

        match how:
            case "complete":
                self.oracle.records.remove(record)
                self.oracle.completed += 1
            case "abandon":
                self.oracle.fail(record)
            case "release":
                record.state, record.token = "active", None
            case "dead_letter":
                self.oracle.bury(record)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.tokens[-4:]))
        if not any(record.token == token for record in self.oracle.records):
            with pytest.raises(AmqpError, match=MESSAGE_LOCK_LOST):
                self.queue.renew(token)
            return

        until = self.queue.renew(token)

        assert until == self.oracle.now + LOCK
        self.oracle.holding(token).until = until

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
        assert len(self.queue.entrance.scheduled) == states.count("scheduled")
        assert self.dead.active == len(self.oracle.dead)
        assert self.queue.completed == self.oracle.completed
        assert self.queue.entrance.suppressed == self.oracle.suppressed

    @invariant()
    def peeking_shows_every_message_in_order(self) -> None:
        for core, records in ((self.queue, self.oracle.records), (self.dead, self.oracle.dead)):
            expected = sorted((record.number, record.deliveries) for record in records)
            assert [(e.sequence_number, e.delivery_count) for e in core.peek(0, 10**6)] == expected
            assert [e.sequence_number for e in core.peek(3, 2)] == [n for n, _ in expected if n >= 3][:2]

    @invariant()
    def nothing_is_due_earlier_than_the_next_timer(self) -> None:
        waiting = [record.until for record in self.oracle.records if record.state != "active"]
        due = self.queue.next_due()
        if waiting:
            assert due is not None
            assert due <= min(waiting) + 0.001
        else:
            assert due is None


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


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": " "}, "name"),
        ({"lock_duration": 0.0}, "lock_duration"),
        ({"max_delivery_count": 0}, "max_delivery_count"),
        ({"duplicate_detection": -1.0}, "duplicate_detection"),
    ],
)
def test_an_impossible_declaration_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Queue(**{"name": "q", **options})
