"""Message sessions without sockets: who gets which, for how long, and what becomes of what was in it."""

from dataclasses import dataclass, field

import pytest

from penstock_local_azure._service_bus._basic_queue import BasicQueue
from penstock_local_azure._service_bus._clock import Clock
from penstock_local_azure._service_bus._declarations import Queue
from penstock_local_azure._service_bus._errors import (
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    SESSION_CANNOT_BE_LOCKED,
    SESSION_LOCK_LOST,
    TIMEOUT,
    AmqpError,
)
from penstock_local_azure._service_bus._message_sessions import MessageSessions, SessionLock
from penstock_local_azure._service_bus._queue import QueueCore
from penstock_local_azure._service_bus._sections import Message

LOCK = 10.0


@dataclass(eq=False)
class Receiver:
    """A receiver that notes what it is told."""

    name: str = "link"
    session_id: str | None = None
    heard: list[str] = field(default_factory=list)

    def granted(self, lock: SessionLock) -> None:
        self.session_id = lock.session_id
        self.heard.append("granted")

    def refused(self, error: AmqpError) -> None:
        self.heard.append(error.condition)

    def expired(self) -> None:
        self.heard.append("expired")


class Bus:
    """A queue that requires sessions, its dead letters, and a clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        clock = Clock(lambda: self.now, lambda: self.now)
        self.dead = BasicQueue("q/$DeadLetterQueue", LOCK, clock)
        self.queue = QueueCore(
            Queue("q", lock_duration=LOCK, max_delivery_count=2, requires_session=True), clock, self.dead
        )
        assert self.queue.sessions is not None
        self.sessions: MessageSessions = self.queue.sessions

    def send(self, *session_ids: str | None) -> list[int]:
        return self.queue.enqueue([Message(session_id=session_id) for session_id in session_ids])

    def accept(self, session_id: str | None = None, *, within: float = 60.0) -> Receiver:
        receiver = Receiver(f"link to {session_id}")
        if session_id is None:
            self.sessions.accept_next(receiver, within)
        else:
            self.sessions.accept(receiver, session_id)
        return receiver

    def receive(self, session_id: str) -> int | None:
        lock = self.queue.lock(session_id)
        return None if lock is None else lock.entry.sequence_number

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.queue.advance()
        self.sessions.serve()


@pytest.fixture
def bus() -> Bus:
    return Bus()


class TestAccepting:
    def test_the_next_session_is_the_free_one_whose_message_is_oldest(self, bus: Bus) -> None:
        bus.send("b", "a", "b", "c")
        assert [bus.accept().session_id for _ in range(3)] == ["b", "a", "c"]

    def test_a_session_by_name_needs_no_message(self, bus: Bus) -> None:
        assert bus.accept("empty").session_id == "empty"

    def test_a_session_has_one_holder(self, bus: Bus) -> None:
        bus.accept("a")
        with pytest.raises(AmqpError, match=SESSION_CANNOT_BE_LOCKED):
            bus.accept("a")

    def test_who_waits_gets_the_next_session_that_has_a_message(self, bus: Bus) -> None:
        first, second = bus.accept(), bus.accept()
        bus.send("a")
        bus.sessions.serve()
        assert (first.session_id, second.session_id) == ("a", None)

        bus.sessions.leave(first, "a")
        bus.sessions.serve()
        assert second.session_id == "a"

    def test_who_waits_too_long_is_refused(self, bus: Bus) -> None:
        receiver = bus.accept(within=5.0)
        bus.wait(5.0)
        bus.send("a")
        bus.sessions.serve()
        assert receiver.heard == [TIMEOUT]

    def test_who_has_gone_gets_nothing(self, bus: Bus) -> None:
        gone, there = bus.accept(), bus.accept()
        bus.sessions.withdraw(gone)
        bus.send("a")
        bus.sessions.serve()
        assert (gone.heard, there.heard) == ([], ["granted"])

    def test_a_message_that_comes_later_belongs_to_the_holder(self, bus: Bus) -> None:
        bus.accept("a")
        bus.send("a")
        assert bus.accept(within=1.0).session_id is None
        assert bus.receive("a") == 1

    def test_messages_come_in_order_and_of_one_session_only(self, bus: Bus) -> None:
        bus.send("a", "b", "a", "a")
        bus.accept("a")
        assert [bus.receive("a") for _ in range(4)] == [1, 3, 4, None]


class TestLocks:
    def test_an_expired_lock_frees_the_session_and_counts_what_was_delivered(self, bus: Bus) -> None:
        bus.send("a", "a")
        receiver = bus.accept("a")
        bus.receive("a")

        bus.wait(LOCK)

        assert receiver.heard == ["granted", "expired"]
        assert bus.accept().session_id == "a"
        assert [entry.delivery_count for entry in bus.queue.peek(0, 9)] == [1, 0]

    def test_a_message_whose_session_expires_too_often_is_dead_lettered(self, bus: Bus) -> None:
        bus.send("a")
        for _ in range(2):
            bus.accept("a")
            bus.receive("a")
            bus.wait(LOCK)
        assert (bus.queue.active, bus.dead.active) == (0, 1)

    def test_a_session_that_is_given_back_is_free_and_nothing_counted(self, bus: Bus) -> None:
        bus.send("a", "a")
        receiver = bus.accept("a")
        bus.receive("a")

        bus.sessions.leave(receiver, "a")

        assert bus.accept().session_id == "a"
        assert [entry.delivery_count for entry in bus.queue.peek(0, 9)] == [0, 0]
        bus.accept("b")
        assert bus.receive("a") == 1

    def test_who_has_lost_a_session_cannot_give_it_back(self, bus: Bus) -> None:
        first = bus.accept("a")
        bus.wait(LOCK)
        bus.accept("a")
        bus.sessions.leave(first, "a")
        assert bus.sessions.held("a")

    def test_a_renewed_lock_lasts_a_full_duration_from_then(self, bus: Bus) -> None:
        receiver = bus.accept("a")
        bus.wait(LOCK - 1)
        assert bus.sessions.renew("a", receiver.name) == bus.now + LOCK
        bus.wait(LOCK - 1)
        assert receiver.heard == ["granted"]
        bus.wait(1)
        assert receiver.heard == ["granted", "expired"]

    def test_a_lock_is_its_holders(self, bus: Bus) -> None:
        bus.accept("a")
        for session_id, name in (("a", "another link"), ("b", None)):
            with pytest.raises(AmqpError, match=SESSION_LOCK_LOST):
                bus.sessions.renew(session_id, name)

    def test_the_lock_of_a_message_is_as_old_as_its_sessions(self, bus: Bus) -> None:
        bus.send("a")
        bus.accept("a")
        bus.wait(LOCK - 1)
        lock = bus.queue.lock("a")
        assert lock is not None
        assert lock.expires == LOCK
        with pytest.raises(AmqpError, match=NOT_ALLOWED):
            bus.queue.renew(lock.token)
        bus.wait(1)
        with pytest.raises(AmqpError, match=MESSAGE_LOCK_LOST):
            bus.queue.complete(lock.token)


class TestMessages:
    def test_none_goes_in_without_a_session_not_even_with_others_that_have_one(self, bus: Bus) -> None:
        with pytest.raises(AmqpError, match=NOT_ALLOWED):
            bus.send("a", None)
        assert bus.queue.active == 0

    def test_a_deferred_one_is_fetched_from_its_session_only(self, bus: Bus) -> None:
        (number,) = bus.send("a")
        bus.accept("a")
        bus.accept("b")
        lock = bus.queue.lock("a")
        assert lock is not None
        bus.queue.defer(lock.token)

        with pytest.raises(AmqpError, match=MESSAGE_NOT_FOUND):
            bus.queue.lock_deferred([number], "b")
        assert [lock.entry.sequence_number for lock in bus.queue.lock_deferred([number], "a")] == [number]

    def test_dead_letters_know_no_sessions(self, bus: Bus) -> None:
        bus.send("a")
        bus.accept("a")
        lock = bus.queue.lock("a")
        assert lock is not None
        bus.queue.dead_letter(lock.token, None, None)
        assert bus.dead.lock() is not None


class TestState:
    def test_stays_until_it_is_removed(self, bus: Bus) -> None:
        assert bus.sessions.state("a") is None
        bus.sessions.set_state("a", b"half done")
        assert bus.sessions.state("a") == b"half done"
        bus.sessions.set_state("a", None)
        assert bus.sessions.state("a") is None

    def test_sessions_are_listed_that_have_a_message_or_a_state(self, bus: Bus) -> None:
        bus.send("locked", "waiting")
        bus.accept("locked")
        bus.receive("locked")
        bus.sessions.set_state("kept", b"1")
        assert bus.queue.session_ids() == ["kept", "locked", "waiting"]

    def test_sessions_are_found_by_when_their_state_was_set(self, bus: Bus) -> None:
        bus.sessions.set_state("old", b"1")
        bus.wait(5.0)
        bus.sessions.set_state("new", b"1")
        assert bus.sessions.with_state(updated_after=4000) == ["new"]
