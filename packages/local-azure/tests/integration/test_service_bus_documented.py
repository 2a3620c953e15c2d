"""What Microsoft documents of Service Bus, through its SDK alone.

Runs against the stand-in, or against the namespace whose connection string ``PENSTOCK_TEST_SERVICE_BUS`` holds: of the
Standard or Premium tier, with a key that may manage it. Each test makes the entities it needs and removes them.

Docstrings name the page of the Service Bus documentation (learn.microsoft.com, "Azure Service Bus Messaging") and the
rule that is tested.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from penstock_local_azure import Subscription

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusReceiver
    from conftest import Entity, Namespace

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEAD_LETTER = ServiceBusSubQueue.DEAD_LETTER
SOON = 10.0
"""Seconds a session is waited for that is there."""


async def _texts(entity: "Entity", receiver: "ServiceBusReceiver", count: int) -> list[str]:
    """Receive and complete so many messages; return their texts."""
    messages = await entity.sdk.receive(receiver, count)
    for message in messages:
        await receiver.complete_message(message)
    return [str(message) for message in messages]


async def _session(
    entity: "Entity", session_id: Any = NEXT_AVAILABLE_SESSION, wait: float = SOON
) -> "ServiceBusReceiver":
    """Accept a session, or the next one that is free."""
    return await entity.receiver(session_id=session_id, max_wait_time=wait)


async def _deferred(entity: "Entity", receiver: "ServiceBusReceiver") -> int:
    """Receive a message and defer it; return its sequence number."""
    message = await entity.sdk.receive_one(receiver)
    await receiver.defer_message(message)
    assert message.sequence_number is not None
    return message.sequence_number


async def _pass(seconds: float, since: float | None = None) -> None:
    """Let time pass until so many seconds after an instant, or from now: where it is tested what time brings."""
    began = time.monotonic() if since is None else since
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))


class TestSending:
    async def test_a_message_arrives_as_it_was_sent(self, namespace: "Namespace") -> None:
        """Messages, payloads, and serialization: body and properties, the application's own among them, are opaque."""
        queue = await namespace.queue()
        sent = ServiceBusMessage(
            b"\x00\xffbody",
            message_id="id-1",
            subject="subject",
            content_type="application/json",
            correlation_id="correlation",
            to="to",
            reply_to="reply-to",
            application_properties={"text": "ü", "number": -70_000, "flag": True, "half": 0.5, "uuid": uuid4()},
        )
        await queue.send(sent)

        message = await queue.sdk.receive_one(await queue.receiver())

        assert b"".join(message.body) == b"\x00\xffbody"
        for name in ("message_id", "subject", "content_type", "correlation_id", "to", "reply_to"):
            assert getattr(message, name) == getattr(sent, name)
        properties = message.application_properties or {}
        received = {key if isinstance(key, str) else key.decode(): value for key, value in properties.items()}
        assert received == {**(sent.application_properties or {}), "text": "ü".encode()}

    async def test_the_service_stamps_sequence_number_and_enqueued_time(self, namespace: "Namespace") -> None:
        """Message sequencing and timestamps: numbers grow as messages arrive; the time is the service's, in UTC."""
        queue = await namespace.queue()
        before = datetime.now(UTC)
        await queue.send("a", "b")

        first, second = await queue.sdk.receive(await queue.receiver(), 2)

        assert (first.sequence_number or 0) < (second.sequence_number or 0)
        assert first.enqueued_time_utc is not None
        assert abs(first.enqueued_time_utc - before) < timedelta(seconds=30)

    async def test_messages_of_a_batch_arrive_as_messages_of_their_own(self, namespace: "Namespace") -> None:
        """AMQP protocol guide, batched messages: each message is received individually."""
        queue = await namespace.queue()
        batch = await queue.sender.create_message_batch()
        for number in range(30):
            batch.add_message(ServiceBusMessage(str(number), message_id=str(number)))
        await queue.sender.send_messages(batch)

        messages = await queue.sdk.receive(await queue.receiver(), 30)

        assert [(str(message), message.message_id) for message in messages] == [(str(n), str(n)) for n in range(30)]

    async def test_a_message_of_many_frames_passes_both_ways(self, namespace: "Namespace") -> None:
        """Quotas: a message may be 256 KB large in the Standard tier."""
        queue = await namespace.queue()
        body = bytes(range(256)) * 800
        await queue.send(ServiceBusMessage(body))

        message = await queue.sdk.receive_one(await queue.receiver())

        assert b"".join(message.body) == body

    async def test_a_message_over_the_size_limit_is_refused(self, namespace: "Namespace") -> None:
        """Quotas: messages that exceed the size limit are rejected."""
        queue = await namespace.queue()
        with pytest.raises(MessageSizeExceededError):
            await queue.send(ServiceBusMessage(bytes(1024 * 1024 + 1)))

    async def test_an_entity_that_does_not_exist_is_not_found(self, namespace: "Namespace") -> None:
        """Messaging exceptions: MessagingEntityNotFound, when the entity does not exist."""
        queue = await namespace.queue()
        missing = f"missing-{uuid4().hex}"
        with pytest.raises(MessagingEntityNotFoundError):
            await queue.sdk.send(missing, "lost")
        with pytest.raises(MessagingEntityNotFoundError):
            await queue.sdk.receiver(missing)


class TestPeekLock:
    async def test_a_locked_message_is_kept_from_other_receivers_until_completed(self, namespace: "Namespace") -> None:
        """Message transfers, locks, and settlement: the lock is exclusive; Complete removes the message."""
        queue = await namespace.queue()
        await queue.send("work")
        one, other = await queue.sdk.two_receivers(queue.name)
        message = await queue.sdk.receive_one(one)
        await queue.sdk.receive_nothing(other)

        await one.complete_message(message)

        assert await other.peek_messages(1, sequence_number=1) == []

    async def test_an_abandoned_message_comes_back_with_its_delivery_counted(self, namespace: "Namespace") -> None:
        """Message transfers, locks, and settlement: Abandon unlocks at once; Dead-letter queues: and is counted."""
        queue = await namespace.queue()
        await queue.send("work")
        receiver = await queue.receiver()
        message = await queue.sdk.receive_one(receiver)

        await receiver.abandon_message(message)

        again = await queue.sdk.receive_one(receiver)
        assert (again.delivery_count or 0) == (message.delivery_count or 0) + 1
        assert again.sequence_number == message.sequence_number
        assert again.lock_token != message.lock_token

    async def test_a_message_comes_back_when_its_lock_expires(self, namespace: "Namespace") -> None:
        """Message transfers, locks, and settlement: one may let the lock elapse; Dead-letter queues: it is counted."""
        queue = await namespace.queue(lock_duration=namespace.shortest_lock)
        await queue.send("work")
        one, other = await queue.sdk.two_receivers(queue.name)
        message = await queue.sdk.receive_one(one)
        assert message.locked_until_utc is not None
        assert (message.locked_until_utc - datetime.now(UTC)).total_seconds() <= namespace.shortest_lock

        again = await queue.sdk.receive_one(other)

        assert (again.delivery_count or 0) == (message.delivery_count or 0) + 1
        with pytest.raises(MessageLockLostError):
            await one.complete_message(message)
        await other.complete_message(again)

    async def test_a_renewed_lock_is_kept_beyond_its_first_term(self, namespace: "Namespace") -> None:
        """Message transfers, locks, and settlement: the lock can be extended by RenewLock."""
        lock = namespace.shortest_lock
        queue = await namespace.queue(lock_duration=lock)
        await queue.send("work")
        one, other = await queue.sdk.two_receivers(queue.name)
        message = await queue.sdk.receive_one(one)
        began = time.monotonic()
        first_term = message.locked_until_utc
        for part in (0.6, 1.2):
            await _pass(part * lock, since=began)
            assert first_term is not None
            assert await one.renew_message_lock(message) > first_term

        await queue.sdk.receive_nothing(other)
        await one.complete_message(message)

    async def test_a_lost_lock_cannot_be_renewed(self, namespace: "Namespace") -> None:
        """Message transfers, locks, and settlement: RenewLock fails once the lock has expired."""
        queue = await namespace.queue(lock_duration=namespace.shortest_lock)
        await queue.send("work")
        one, other = await queue.sdk.two_receivers(queue.name)
        message = await queue.sdk.receive_one(one)
        await queue.sdk.receive_one(other)

        with pytest.raises(MessageLockLostError):
            await one.renew_message_lock(message)

    async def test_what_was_prefetched_and_not_received_goes_back_uncounted(self, namespace: "Namespace") -> None:
        """Prefetch; the SDK gives back with AMQP's outcome `released`, which counts no delivery."""
        queue = await namespace.queue()
        await queue.send(*map(str, range(6)))
        receiver = await queue.receiver(prefetch_count=5)
        assert await _texts(queue, receiver, 1) == ["0"]

        await receiver.close()

        messages = await queue.sdk.receive(await queue.receiver(), 5)
        assert [(str(message), message.delivery_count) for message in messages] == [(str(n), 0) for n in range(1, 6)]

    async def test_a_released_message_comes_back_at_once_and_uncounted(self, namespace: "Namespace") -> None:
        """AMQP 1.0, part 3, section 3.4.4: released, "the delivery count is not incremented".

        The protocol guide leaves it open, and the SDK has no public call for it; the handler gives back with it.
        """
        queue = await namespace.queue()
        await queue.send("work")
        receiver: Any = await queue.receiver()
        message: Any = await queue.sdk.receive_one(receiver)

        await receiver._handler.settle_messages_async(message._delivery_id, message._delivery_tag, "released")

        again = await queue.sdk.receive_one(receiver)
        assert (again.sequence_number, again.delivery_count) == (message.sequence_number, message.delivery_count)

    async def test_a_receiver_that_takes_its_credit_back_gets_nothing_until_it_asks_again(
        self, namespace: "Namespace"
    ) -> None:
        """AMQP 1.0, part 2, section 2.6.7: drain; what the SDK does when it closes, and the handler when it pauses."""
        queue = await namespace.queue()
        paused: Any
        paused, other = await queue.sdk.two_receivers(queue.name)
        await queue.sdk.receive_nothing(paused)  # which leaves its credit with the service
        await paused._amqp_transport.drain_and_release_messages_async(paused._handler)
        await queue.send("a")

        assert await _texts(queue, other, 1) == ["a"]
        await queue.send("b")
        assert await _texts(queue, paused, 1) == ["b"]

    async def test_a_waiting_receiver_gets_what_arrives(self, namespace: "Namespace") -> None:
        """AMQP protocol guide, flow control: outstanding credit is used as messages become available."""
        queue = await namespace.queue()
        receiver = await queue.receiver()
        waiting = asyncio.create_task(queue.sdk.receive_one(receiver))
        await queue.send("late")

        assert str(await waiting) == "late"

    async def test_receive_and_delete_leaves_nothing(self, namespace: "Namespace") -> None:
        """Message transfers, locks, and settlement: in this mode messages are settled when sent."""
        queue = await namespace.queue()
        await queue.send("a", "b")
        receiver = await queue.receiver(receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)

        assert [str(message) for message in await queue.sdk.receive(receiver, 2)] == ["a", "b"]
        assert await receiver.peek_messages(1, sequence_number=1) == []


class TestDeadLetters:
    async def test_a_dead_letter_carries_reason_and_description(self, namespace: "Namespace") -> None:
        """Dead-letter queues: applications set both; the message itself stays as it is."""
        queue = await namespace.queue()
        await queue.send(ServiceBusMessage("bad", application_properties={"mine": "kept"}))
        receiver = await queue.receiver()
        message = await queue.sdk.receive_one(receiver)
        await receiver.dead_letter_message(message, reason="Unreadable", error_description="no such field")

        dead_letters = await queue.receiver(sub_queue=DEAD_LETTER)
        dead = await queue.sdk.receive_one(dead_letters)

        assert str(dead) == "bad"
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Unreadable", "no such field")
        assert (dead.application_properties or {})[b"mine"] == b"kept"
        await dead_letters.complete_message(dead)
        assert await dead_letters.peek_messages(1, sequence_number=1) == []

    async def test_a_message_that_fails_max_delivery_count_times_is_dead_lettered(self, namespace: "Namespace") -> None:
        """Dead-letter queues: MaxDeliveryCountExceeded."""
        queue = await namespace.queue(max_delivery_count=2)
        await queue.send("poison")
        receiver = await queue.receiver()
        for _ in range(2):
            await receiver.abandon_message(await queue.sdk.receive_one(receiver))

        dead = await queue.sdk.receive_one(await queue.receiver(sub_queue=DEAD_LETTER))

        assert (str(dead), dead.dead_letter_reason) == ("poison", "MaxDeliveryCountExceeded")

    async def test_a_dead_letter_cannot_be_dead_lettered(self, namespace: "Namespace") -> None:
        """Dead-letter queues: you can't dead-letter a message from a dead-letter queue."""
        queue = await namespace.queue()
        await queue.send("bad")
        receiver = await queue.receiver()
        await receiver.dead_letter_message(await queue.sdk.receive_one(receiver))
        dead_letters = await queue.receiver(sub_queue=DEAD_LETTER)
        dead = await queue.sdk.receive_one(dead_letters)

        with pytest.raises(ServiceBusError):
            await dead_letters.dead_letter_message(dead)


class TestScheduling:
    async def test_a_scheduled_message_arrives_when_due_under_a_new_number(self, namespace: "Namespace") -> None:
        """Message sequencing and timestamps: it is enqueued at the time given, its number changes then."""
        queue = await namespace.queue()
        due = datetime.now(UTC) + timedelta(seconds=3)
        (number,) = await queue.sender.schedule_messages([ServiceBusMessage("by request")], due)
        await queue.send(ServiceBusMessage("by property", scheduled_enqueue_time_utc=due), "at once")
        receiver = await queue.receiver()
        assert await _texts(queue, receiver, 1) == ["at once"]

        messages = await queue.sdk.receive(receiver, 2)

        assert sorted(map(str, messages)) == ["by property", "by request"]
        assert datetime.now(UTC) >= due - timedelta(seconds=0.5)
        assert all((message.sequence_number or 0) > number for message in messages)

    async def test_a_cancelled_message_never_arrives(self, namespace: "Namespace") -> None:
        """Message sequencing and timestamps: scheduled messages can be cancelled by their numbers."""
        queue = await namespace.queue()
        due = datetime.now(UTC) + timedelta(seconds=4)
        numbers = await queue.sender.schedule_messages([ServiceBusMessage(text) for text in "abc"], due)

        await queue.sender.cancel_scheduled_messages(numbers[:2])

        with pytest.raises(MessageNotFoundError):
            await queue.sender.cancel_scheduled_messages(numbers[0])
        receiver = await queue.receiver()
        assert await _texts(queue, receiver, 1) == ["c"]
        await queue.sdk.receive_nothing(receiver)


class TestDuplicateDetection:
    async def test_a_repeated_id_is_accepted_and_dropped_even_after_the_first_was_completed(
        self, namespace: "Namespace"
    ) -> None:
        """Duplicate message detection: the send succeeds, the message is dropped, within the history window."""
        queue = await namespace.queue(duplicate_detection=600.0)
        await queue.send(ServiceBusMessage("original", message_id="7"))
        await queue.send(ServiceBusMessage("copy", message_id="7"), ServiceBusMessage("other", message_id="8"))
        receiver = await queue.receiver()
        assert await _texts(queue, receiver, 2) == ["original", "other"]

        await queue.send(ServiceBusMessage("late copy", message_id="7"))

        await queue.sdk.receive_nothing(receiver)

    async def test_without_it_ids_may_repeat(self, namespace: "Namespace") -> None:
        """Duplicate message detection: it has to be enabled."""
        queue = await namespace.queue()
        await queue.send(*(ServiceBusMessage("same", message_id="7") for _ in range(2)))

        assert await _texts(queue, await queue.receiver(), 2) == ["same", "same"]


class TestExpiration:
    async def test_an_expired_message_is_dropped(self, namespace: "Namespace") -> None:
        """Message expiration: past expires-at, messages become ineligible for retrieval, and are dropped."""
        queue = await namespace.queue()
        await queue.send(ServiceBusMessage("stale", time_to_live=timedelta(seconds=1)), "fresh")
        await _pass(1.5)

        receiver = await queue.receiver()

        assert await _texts(queue, receiver, 1) == ["fresh"]
        await queue.sdk.receive_nothing(receiver)

    async def test_an_expired_message_is_dead_lettered_where_that_is_declared(self, namespace: "Namespace") -> None:
        """Message expiration, Dead-letter queues: with the reason TTLExpiredException."""
        queue = await namespace.queue(dead_letter_on_expiration=True)
        await queue.send(ServiceBusMessage("stale", time_to_live=timedelta(seconds=1)))
        await queue.receiver()  # the time to live is only enforced while somebody listens

        dead = await queue.sdk.receive_one(await queue.receiver(sub_queue=DEAD_LETTER))

        assert (str(dead), dead.dead_letter_reason) == ("stale", "TTLExpiredException")

    async def test_the_entitys_time_to_live_is_default_and_ceiling(self, namespace: "Namespace") -> None:
        """Message expiration: used where none is set; longer ones are silently adjusted."""
        queue = await namespace.queue(time_to_live=60.0)
        wishes = [None, timedelta(hours=1), timedelta(seconds=30)]
        await queue.send(*(ServiceBusMessage("x", time_to_live=wish) for wish in wishes))

        messages = await queue.sdk.receive(await queue.receiver(), 3)

        assert [message.time_to_live for message in messages] == [timedelta(seconds=s) for s in (60, 60, 30)]

    async def test_a_locked_message_is_handled_normally_and_expires_when_it_comes_back(
        self, namespace: "Namespace"
    ) -> None:
        """Message expiration: it does not affect locked messages; it takes effect once they are abandoned."""
        queue = await namespace.queue(dead_letter_on_expiration=True)
        receiver = await queue.receiver()
        life = timedelta(seconds=3)
        await queue.send(*(ServiceBusMessage(text, time_to_live=life) for text in ("done", "abandoned")))
        done, abandoned = await queue.sdk.receive(receiver, 2)
        await _pass(3.5)

        await receiver.complete_message(done)
        await receiver.abandon_message(abandoned)

        dead_letters = await queue.receiver(sub_queue=DEAD_LETTER)
        assert await _texts(queue, dead_letters, 1) == ["abandoned"]
        await queue.sdk.receive_nothing(dead_letters)


class TestDeferral:
    async def test_a_deferred_message_is_received_by_its_number_only(self, namespace: "Namespace") -> None:
        """Message deferral: it stays in the queue, set aside; whoever knows its number receives it."""
        queue = await namespace.queue()
        await queue.send("later", "now")
        receiver = await queue.receiver()
        number = await _deferred(queue, receiver)
        assert await _texts(queue, receiver, 1) == ["now"]
        await queue.sdk.receive_nothing(receiver)

        (message,) = await receiver.receive_deferred_messages(number)

        assert str(message) == "later"
        await receiver.complete_message(message)
        assert await receiver.peek_messages(1, sequence_number=1) == []

    async def test_a_deferred_message_stays_deferred_when_it_is_abandoned(self, namespace: "Namespace") -> None:
        """Microsoft's tests of its JavaScript SDK, deferredMessage.spec.ts: it goes back among the deferred ones."""
        queue = await namespace.queue()
        await queue.send("later")
        receiver = await queue.receiver()
        number = await _deferred(queue, receiver)
        (message,) = await receiver.receive_deferred_messages(number)
        assert message.delivery_count == 1
        with pytest.raises(MessageNotFoundError):  # it is locked
            await receiver.receive_deferred_messages(number)

        await receiver.abandon_message(message)

        await queue.sdk.receive_nothing(receiver)
        (again,) = await receiver.receive_deferred_messages(number)
        assert again.delivery_count == 2
        await receiver.dead_letter_message(again, reason="Enough")
        dead = await queue.sdk.receive_one(await queue.receiver(sub_queue=DEAD_LETTER))
        assert dead.dead_letter_reason == "Enough"

    async def test_a_number_that_is_not_deferred_is_not_found(self, namespace: "Namespace") -> None:
        """Messaging exceptions: MessageNotFound, for a deferred message that does not exist."""
        queue = await namespace.queue()
        await queue.send("active")
        receiver = await queue.receiver()
        (message,) = await receiver.peek_messages(1)

        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(message.sequence_number or 0)

    async def test_a_deferred_message_can_be_taken_for_good(self, namespace: "Namespace") -> None:
        """AMQP request-response operations, Receive by sequence number: the receiver settle mode decides."""
        queue = await namespace.queue()
        await queue.send("later")
        number = await _deferred(queue, await queue.receiver())
        receiver = await queue.receiver(receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)

        (message,) = await receiver.receive_deferred_messages(number)

        assert str(message) == "later"
        assert await receiver.peek_messages(1, sequence_number=1) == []


class TestBrowsing:
    async def test_peek_shows_messages_in_every_state_in_order_without_touching_them(
        self, namespace: "Namespace"
    ) -> None:
        """Message browsing: active, locked, deferred and scheduled ones, in the order of their sequence numbers."""
        queue = await namespace.queue()
        await queue.send("deferred", "locked", "active")
        due = datetime.now(UTC) + timedelta(seconds=60)
        await queue.send(ServiceBusMessage("scheduled", scheduled_enqueue_time_utc=due))
        one, other = await queue.sdk.two_receivers(queue.name)
        await _deferred(queue, one)
        await queue.sdk.receive_one(one)

        pages = [await other.peek_messages(3) for _ in range(3)]

        assert [len(page) for page in pages] == [3, 1, 0]
        seen = {str(message): message.state for page in pages for message in page}
        assert seen == {
            "deferred": ServiceBusMessageState.DEFERRED,
            "locked": ServiceBusMessageState.ACTIVE,
            "active": ServiceBusMessageState.ACTIVE,
            "scheduled": ServiceBusMessageState.SCHEDULED,
        }
        assert await _texts(queue, other, 1) == ["active"]

    async def test_dead_letters_are_peeked_in_their_own_queue(self, namespace: "Namespace") -> None:
        """Message browsing: peek works on dead-letter queues, too."""
        queue = await namespace.queue()
        await queue.send("a", "b")
        receiver = await queue.receiver()
        for message in await queue.sdk.receive(receiver, 2):
            await receiver.dead_letter_message(message, reason="Bad")

        peeked = await (await queue.receiver(sub_queue=DEAD_LETTER)).peek_messages(10)

        assert [(str(message), message.dead_letter_reason) for message in peeked] == [("a", "Bad"), ("b", "Bad")]
        assert await receiver.peek_messages(10, sequence_number=1) == []


class TestSessions:
    async def test_a_session_is_received_in_order_and_alone(self, namespace: "Namespace") -> None:
        """Message sessions: the holder gets the session's messages, also those that arrive later, in order."""
        queue = await namespace.queue(requires_session=True)
        await queue.send(*(ServiceBusMessage(f"{s}{n}", session_id=s) for n in range(3) for s in "ab"))
        receiver = await _session(queue, "b")
        assert await _texts(queue, receiver, 3) == ["b0", "b1", "b2"]

        await queue.send(ServiceBusMessage("b3", session_id="b"))

        assert await _texts(queue, receiver, 1) == ["b3"]
        assert receiver.session.session_id == "b"

    async def test_a_session_has_one_receiver(self, namespace: "Namespace") -> None:
        """Message sessions: the lock is exclusive; Messaging exceptions: SessionCannotBeLocked."""
        queue = await namespace.queue(requires_session=True)
        await queue.send(ServiceBusMessage("a", session_id="a"), ServiceBusMessage("b", session_id="b"))
        first, second = [await _session(queue) for _ in range(2)]
        assert {first.session.session_id, second.session.session_id} == {"a", "b"}

        with pytest.raises(SessionCannotBeLockedError):
            await _session(queue, "a")

    async def test_without_a_session_to_accept_the_wait_ends_as_asked(self, namespace: "Namespace") -> None:
        """ServiceBusClient, accept next session: the call times out if no unlocked session has messages."""
        queue = await namespace.queue(requires_session=True)
        began = time.monotonic()

        with pytest.raises(OperationTimeoutError):
            await _session(queue, wait=1.5)

        assert 1.0 < time.monotonic() - began < 10.0

    async def test_a_session_that_comes_to_be_is_given_to_who_waits(self, namespace: "Namespace") -> None:
        """Message sessions: a session comes into existence with its first message."""
        queue = await namespace.queue(requires_session=True)
        waiting = asyncio.create_task(_session(queue, wait=15.0))
        await _pass(1.0)
        await queue.send(ServiceBusMessage("first", session_id="new"))

        receiver = await waiting

        assert receiver.session.session_id == "new"
        assert await _texts(queue, receiver, 1) == ["first"]

    async def test_a_session_that_is_closed_is_free_and_its_deliveries_not_counted(
        self, namespace: "Namespace"
    ) -> None:
        """Message sessions, impact of delivery count: not completed, and the session closed: not incremented."""
        queue = await namespace.queue(requires_session=True)
        await queue.send(*(ServiceBusMessage(text, session_id="a") for text in "12"))
        receiver = await _session(queue)
        await queue.sdk.receive(receiver, 2)

        await receiver.close()

        messages = await queue.sdk.receive(await _session(queue), 2)
        assert [(str(message), message.delivery_count) for message in messages] == [("1", 0), ("2", 0)]

    async def test_a_session_whose_lock_expires_is_free_and_its_deliveries_counted(
        self, namespace: "Namespace"
    ) -> None:
        """Message sessions, impact of delivery count: the session lock expires: incremented."""
        queue = await namespace.queue(requires_session=True, lock_duration=namespace.shortest_lock)
        await queue.send(ServiceBusMessage("1", session_id="a"))
        lost = await _session(queue)
        message = await queue.sdk.receive_one(lost)

        receiver = await _session(queue, wait=15.0)

        again = await queue.sdk.receive_one(receiver)
        assert again.delivery_count == 1
        await receiver.complete_message(again)
        with pytest.raises(SessionLockLostError):
            await lost.complete_message(message)

    async def test_a_renewed_session_is_kept_beyond_its_first_term(self, namespace: "Namespace") -> None:
        """Message sessions: there are methods to renew the lock."""
        lock = namespace.shortest_lock
        queue = await namespace.queue(requires_session=True, lock_duration=lock)
        await queue.send(ServiceBusMessage("1", session_id="a"))
        receiver = await _session(queue)
        began = time.monotonic()
        message = await queue.sdk.receive_one(receiver)
        first_term = receiver.session.locked_until_utc
        for part in (0.6, 1.2):
            await _pass(part * lock, since=began)
            assert first_term is not None
            assert await receiver.session.renew_lock() > first_term

        await receiver.complete_message(message)

    async def test_an_abandoned_message_is_the_next_one_again(self, namespace: "Namespace") -> None:
        """Message sessions: abandoning a message causes the same message to be served again."""
        queue = await namespace.queue(requires_session=True)
        await queue.send(*(ServiceBusMessage(text, session_id="a") for text in "12"))
        receiver = await _session(queue)
        await receiver.abandon_message(await queue.sdk.receive_one(receiver))

        assert await _texts(queue, receiver, 2) == ["1", "2"]

    async def test_state_is_kept_from_one_receiver_to_the_next(self, namespace: "Namespace") -> None:
        """Message sessions, message session state: none at first; it remains until it is cleared."""
        queue = await namespace.queue(requires_session=True)
        receiver = await _session(queue, "a")
        assert await receiver.session.get_state() is None
        await receiver.session.set_state(b"half done")
        await receiver.close()
        receiver = await _session(queue, "a")
        assert await receiver.session.get_state() == b"half done"

        await receiver.session.set_state(None)

        assert await receiver.session.get_state() is None

    async def test_sessions_with_a_message_or_a_state_are_listed(self, namespace: "Namespace") -> None:
        """AMQP request-response operations, Enumerate sessions."""
        queue = await namespace.queue(requires_session=True)
        await queue.send(ServiceBusMessage("1", session_id="waiting"))
        receiver = await _session(queue, "kept")
        await receiver.session.set_state("state")

        listed = [session_id async for session_id in queue.sdk.client.list_queue_sessions(queue.name)]

        assert sorted(listed) == ["kept", "waiting"]

    async def test_a_message_without_a_session_is_refused(self, namespace: "Namespace") -> None:
        """Message sessions: all messages must be sent as part of a session."""
        queue = await namespace.queue(requires_session=True)
        with pytest.raises(ServiceBusError, match="SessionId"):
            await queue.send("alone")

    async def test_a_receiver_and_its_queue_agree_on_sessions(self, namespace: "Namespace") -> None:
        """Message sessions: messages are received by accepting a session; sessions must be enabled for that."""
        with_sessions, without = await namespace.queue(requires_session=True), await namespace.queue()
        with pytest.raises(ServiceBusError, match="sessions"):
            await with_sessions.receiver()
        with pytest.raises(ServiceBusError, match="sessions"):
            await _session(without, "a")

    async def test_a_message_of_a_session_is_deferred_and_peeked_there(self, namespace: "Namespace") -> None:
        """AMQP request-response operations: both operations take a session id."""
        queue = await namespace.queue(requires_session=True)
        await queue.send(ServiceBusMessage("later", session_id="a"), ServiceBusMessage("other", session_id="b"))
        receiver = await _session(queue, "a")
        number = await _deferred(queue, receiver)
        assert [str(message) for message in await receiver.peek_messages(9, sequence_number=1)] == ["later"]

        (message,) = await receiver.receive_deferred_messages(number)

        await receiver.complete_message(message)
        assert await receiver.peek_messages(9, sequence_number=1) == []


class TestTopics:
    async def test_each_subscription_gets_a_copy_and_settles_it_alone(self, namespace: "Namespace") -> None:
        """Queues, topics, and subscriptions: a subscription resembles a virtual queue that receives copies."""
        one, other = await namespace.topic(Subscription("one"), Subscription("other"))
        await one.send("news")
        receiver = await one.receiver()
        await receiver.dead_letter_message(await one.sdk.receive_one(receiver), reason="Unread")

        assert await _texts(other, await other.receiver(), 1) == ["news"]
        dead = await one.sdk.receive_one(await one.receiver(sub_queue=DEAD_LETTER))
        assert dead.dead_letter_reason == "Unread"
        assert await (await other.receiver(sub_queue=DEAD_LETTER)).peek_messages(1) == []

    async def test_a_topic_detects_duplicates_and_schedules_for_all(self, namespace: "Namespace") -> None:
        """Duplicate message detection; Message sequencing and timestamps: both work on topics."""
        one, other = await namespace.topic(Subscription("one"), Subscription("other"), duplicate_detection=600.0)
        await one.send(ServiceBusMessage("first", message_id="7"))
        await one.send(ServiceBusMessage("copy", message_id="7"))
        due = datetime.now(UTC) + timedelta(seconds=4)
        numbers = await one.sender.schedule_messages(
            [ServiceBusMessage(text, message_id=text) for text in ("later", "never")], due
        )
        await one.sender.cancel_scheduled_messages(numbers[1])

        for subscription in (one, other):
            receiver = await subscription.receiver()
            assert await _texts(subscription, receiver, 2) == ["first", "later"]
            await subscription.sdk.receive_nothing(receiver)

    async def test_a_subscription_with_sessions_dead_letters_what_has_none(self, namespace: "Namespace") -> None:
        """Dead-letter queues: "Session ID is null."."""
        (entity,) = await namespace.topic(Subscription("s", requires_session=True))
        await entity.send(ServiceBusMessage("in", session_id="a"), "out")

        assert await _texts(entity, await _session(entity), 1) == ["in"]
        dead = await entity.sdk.receive_one(await entity.receiver(sub_queue=DEAD_LETTER))
        assert (str(dead), "session" in (dead.dead_letter_reason or "").lower()) == ("out", True)


class TestTheSynchronousSdk:
    """Its own code, the same rules: a thread of its own, since the stand-in shares the tests' loop."""

    async def test_messages_are_received_settled_deferred_and_peeked(self, namespace: "Namespace") -> None:
        """As above."""
        queue = await namespace.queue()

        def run() -> list[str]:
            with (
                ServiceBusClient.from_connection_string(queue.connection_string, retry_total=0) as client,
                client.get_queue_sender(queue.name) as sender,
                client.get_queue_receiver(queue.name, socket_timeout=0.02) as receiver,
            ):
                sender.send_messages([ServiceBusMessage(text) for text in "abcd"])
                a, b, c, d = receiver.receive_messages(4, max_wait_time=10)
                receiver.complete_message(a)
                receiver.abandon_message(b)
                receiver.dead_letter_message(c, reason="Bad")
                receiver.renew_message_lock(d)
                receiver.defer_message(d)
                (deferred,) = receiver.receive_deferred_messages(d.sequence_number or 0)
                left = receiver.peek_messages(9, sequence_number=1)
                receiver.complete_message(deferred)
                with client.get_queue_receiver(queue.name, sub_queue=DEAD_LETTER) as dead_letters:
                    (dead,) = dead_letters.receive_messages(1, max_wait_time=10)
                return [*map(str, left), str(deferred), str(dead), dead.dead_letter_reason or ""]

        assert await asyncio.to_thread(run) == ["b", "d", "d", "c", "Bad"]

    async def test_sessions_are_accepted_and_keep_their_state(self, namespace: "Namespace") -> None:
        """As above."""
        queue = await namespace.queue(requires_session=True)

        def run() -> list[str]:
            with (
                ServiceBusClient.from_connection_string(queue.connection_string, retry_total=0) as client,
                client.get_queue_sender(queue.name) as sender,
            ):
                sender.send_messages([ServiceBusMessage(text, session_id="a") for text in "12"])
                with client.get_queue_receiver(
                    queue.name, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=SOON
                ) as receiver:
                    receiver.session.set_state("state")
                    receiver.session.renew_lock()
                    messages = receiver.receive_messages(2, max_wait_time=10)
                    receiver.complete_message(messages[0])
                    return [*map(str, messages), bytes(receiver.session.get_state()).decode()]

        assert await asyncio.to_thread(run) == ["1", "2", "state"]
