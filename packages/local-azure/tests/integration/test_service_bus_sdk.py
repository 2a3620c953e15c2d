"""The local Service Bus through the unmodified SDK, behaviour by behaviour as Microsoft documents them.

Locks and windows are driven by a clock the test owns wherever the service's clock decides; where a timer has to fire,
durations are short and the SDK's own `max_wait_time` is the deadline.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.servicebus import (
    ServiceBusClient as SyncClient,
)
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from penstock_local_azure._service_bus import Queue, ServiceBus

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN = 10.0
"""Seconds in which something that should happen must have happened."""


class HandClock:
    """A steady clock that goes on only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closing() -> AsyncIterator[list[asyncio.Task[None]]]:
    """What tests leave to be closed while others run: the SDK sleeps half a second in every close."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    await asyncio.gather(*tasks)


@pytest_asyncio.fixture(loop_scope="module")
async def stack(closing: list[asyncio.Task[None]]) -> AsyncIterator[AsyncExitStack]:
    stack = AsyncExitStack()
    yield stack
    closing.append(asyncio.create_task(stack.aclose()))


@pytest_asyncio.fixture(loop_scope="module")
async def service_bus(stack: AsyncExitStack, clock: HandClock) -> ServiceBus:
    picky = Queue("picky", max_delivery_count=2)
    once = Queue("once", duplicate_detection=600.0)
    return await stack.enter_async_context(ServiceBus(["orders", picky, once], clock=clock))


class Sdk:
    """An SDK client whose senders and receivers stay open for the whole test and are closed together."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._senders: dict[str, ServiceBusSender] = {}
        self._links: list[ServiceBusSender | ServiceBusReceiver] = []

    def sender(self, queue: str) -> ServiceBusSender:
        if queue not in self._senders:
            self._senders[queue] = self._client.get_queue_sender(queue)
            self._links.append(self._senders[queue])
        return self._senders[queue]

    async def receiver(self, queue: str, **options: Any) -> ServiceBusReceiver:
        receiver = self._client.get_queue_receiver(queue, socket_timeout=0.02, **options)
        self._links.append(receiver)
        return await receiver.__aenter__()

    async def two_receivers(self, queue: str) -> tuple[ServiceBusReceiver, ServiceBusReceiver]:
        one, other = await asyncio.gather(self.receiver(queue), self.receiver(queue))
        return one, other

    async def send(self, queue: str, *messages: ServiceBusMessage | str) -> None:
        made = [
            message if isinstance(message, ServiceBusMessage) else ServiceBusMessage(message) for message in messages
        ]
        await self.sender(queue).send_messages(made)

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links))
        await self._client.close()


async def _connect(stack: AsyncExitStack, service_bus: ServiceBus) -> Sdk:
    sdk = Sdk(ServiceBusClient.from_connection_string(service_bus.connection_string, retry_total=0))
    stack.push_async_callback(sdk.close)
    return sdk


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(stack: AsyncExitStack, service_bus: ServiceBus) -> Sdk:
    return await _connect(stack, service_bus)


async def _receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Receive exactly `count` messages."""
    received: list[ServiceBusReceivedMessage] = []
    deadline = time.monotonic() + WITHIN
    while len(received) < count and time.monotonic() < deadline:
        received += await receiver.receive_messages(count - len(received), max_wait_time=1)
    assert len(received) == count
    return received


async def _receive_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = await _receive(receiver)
    return message


async def _receive_nothing(receiver: ServiceBusReceiver) -> None:
    assert await receiver.receive_messages(1, max_wait_time=0.2) == []


def _counts(service_bus: ServiceBus, queue: str) -> dict[str, Any]:
    return {name: value for name, value in service_bus.stats()[queue].items() if value}


class TestSending:
    async def test_a_message_arrives_as_it_was_sent(self, sdk: Sdk) -> None:
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
        await sdk.send("orders", sent)

        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)

        assert b"".join(message.body) == b"\x00\xffbody"
        assert message.message_id == "id-1"
        assert message.subject == "subject"
        assert message.content_type == "application/json"
        assert message.correlation_id == "correlation"
        assert (message.to, message.reply_to) == ("to", "reply-to")
        properties = message.application_properties or {}
        received = {key if isinstance(key, str) else key.decode(): value for key, value in properties.items()}
        expected = dict(sent.application_properties or {})
        assert received == {**expected, "text": "ü".encode()}

    async def test_the_service_stamps_sequence_number_and_enqueued_time(self, sdk: Sdk) -> None:
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        await sdk.send("orders", "a", "b")

        receiver = await sdk.receiver("orders")
        first, second = await _receive(receiver, 2)

        assert first.sequence_number is not None
        assert second.sequence_number is not None
        assert first.sequence_number < second.sequence_number
        assert first.enqueued_time_utc is not None
        assert before <= first.enqueued_time_utc <= datetime.now(UTC)

    async def test_messages_of_a_batch_arrive_in_order_as_messages_of_their_own(self, sdk: Sdk) -> None:
        sender = sdk.sender("orders")
        batch = await sender.create_message_batch()
        for number in range(300):
            batch.add_message(ServiceBusMessage(str(number), message_id=str(number)))
        await sender.send_messages(batch)

        receiver = await sdk.receiver("orders")
        messages = await _receive(receiver, 300)

        assert [(str(message), message.message_id) for message in messages] == [(str(n), str(n)) for n in range(300)]

    async def test_a_message_of_many_frames_passes_both_ways(self, sdk: Sdk) -> None:
        body = bytes(range(256)) * 4000
        await sdk.send("orders", ServiceBusMessage(body))

        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)
        await receiver.complete_message(message)

        assert b"".join(message.body) == body

    async def test_more_messages_than_the_first_grant_of_credit_go_through(
        self, sdk: Sdk, service_bus: ServiceBus
    ) -> None:
        sender = sdk.sender("orders")
        for number in range(1100):
            await sender.send_messages(ServiceBusMessage(str(number)))

        assert _counts(service_bus, "orders") == {"active": 1100, "enqueued": 1100}

    async def test_a_message_over_the_size_limit_is_refused(self, sdk: Sdk) -> None:
        with pytest.raises(MessageSizeExceededError):
            await sdk.send("orders", ServiceBusMessage(bytes(1024 * 1024 + 1)))

    async def test_an_entity_that_does_not_exist_is_not_found(self, sdk: Sdk) -> None:
        with pytest.raises(MessagingEntityNotFoundError, match="nowhere"):
            await sdk.send("nowhere", "lost")
        with pytest.raises(MessagingEntityNotFoundError, match="nowhere"):
            await sdk.receiver("nowhere")

    async def test_entity_names_are_the_same_in_upper_and_lower_case(self, sdk: Sdk) -> None:
        await sdk.send("ORDERS", "shouted")

        receiver = await sdk.receiver("Orders")
        assert str(await _receive_one(receiver)) == "shouted"

    async def test_nobody_sends_to_a_dead_letter_queue(self, sdk: Sdk) -> None:
        with pytest.raises(ServiceBusError, match="cannot be sent"):
            await sdk.send("orders/$DeadLetterQueue", "x")


class TestPeekLock:
    async def test_a_locked_message_is_kept_from_other_receivers_until_completed(
        self, sdk: Sdk, service_bus: ServiceBus
    ) -> None:
        await sdk.send("orders", "work")
        one, other = await sdk.two_receivers("orders")
        message = await _receive_one(one)
        await _receive_nothing(other)

        await one.complete_message(message)

        await _receive_nothing(other)
        assert _counts(service_bus, "orders") == {"enqueued": 1, "completed": 1}

    async def test_an_abandoned_message_comes_back_first_with_its_deliveries_counted(self, sdk: Sdk) -> None:
        await sdk.send("orders", "first", "second")
        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)
        assert message.delivery_count == 0

        await receiver.abandon_message(message)

        again = await _receive_one(receiver)
        assert (str(again), again.delivery_count) == ("first", 1)
        assert again.sequence_number == message.sequence_number
        assert again.lock_token != message.lock_token

    async def test_an_expired_lock_makes_the_message_available_again_and_counts(
        self, sdk: Sdk, clock: HandClock
    ) -> None:
        await sdk.send("orders", "work")
        one, other = await sdk.two_receivers("orders")
        await _receive_one(one)
        clock.advance(59.9)
        await _receive_nothing(other)

        clock.advance(0.2)

        assert (await _receive_one(other)).delivery_count == 1

    async def test_a_lock_expires_by_itself_while_a_receiver_waits(self, stack: AsyncExitStack) -> None:
        service_bus = await stack.enter_async_context(ServiceBus([Queue("brief", lock_duration=0.3)]))
        sdk = await _connect(stack, service_bus)
        await sdk.send("brief", "work")
        one, other = await sdk.two_receivers("brief")
        await _receive_one(one)
        locked_at = time.monotonic()

        assert (await _receive_one(other)).delivery_count == 1
        assert time.monotonic() - locked_at >= 0.2

    async def test_locked_until_tells_when_the_lock_expires(self, sdk: Sdk) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)

        assert message.locked_until_utc is not None
        assert 55 < (message.locked_until_utc - datetime.now(UTC)).total_seconds() <= 60

    async def test_settling_after_the_lock_was_lost_fails(
        self, sdk: Sdk, service_bus: ServiceBus, clock: HandClock
    ) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)
        clock.advance(61)

        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(message)

        assert _counts(service_bus, "orders") == {"active": 1, "enqueued": 1}

    async def test_a_renewed_lock_lasts_a_full_lock_duration_from_then(self, sdk: Sdk, clock: HandClock) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)
        clock.advance(50)
        until = await receiver.renew_message_lock(message)
        clock.advance(50)

        await receiver.complete_message(message)

        assert 55 < (until - datetime.now(UTC)).total_seconds() <= 60

    async def test_a_lost_lock_cannot_be_renewed(self, sdk: Sdk, clock: HandClock) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)
        clock.advance(61)

        with pytest.raises(MessageLockLostError):
            await receiver.renew_message_lock(message)

    async def test_a_closed_receiver_leaves_the_lock_of_what_it_handed_out(
        self, sdk: Sdk, service_bus: ServiceBus
    ) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        await _receive_one(receiver)

        await receiver.close()

        assert _counts(service_bus, "orders") == {"locked": 1, "enqueued": 1}

    async def test_prefetched_messages_are_locked_and_released_uncounted_on_close(
        self, sdk: Sdk, service_bus: ServiceBus
    ) -> None:
        await sdk.send("orders", *map(str, range(20)))
        receiver = await sdk.receiver("orders", prefetch_count=5)
        first = await _receive_one(receiver)
        assert 1 < service_bus.stats()["orders"]["locked"] < 20
        await receiver.complete_message(first)

        await receiver.close()

        assert _counts(service_bus, "orders") == {"active": 19, "enqueued": 20, "completed": 1}
        receiver = await sdk.receiver("orders")
        messages = await _receive(receiver, 19)
        assert [(str(m), m.delivery_count) for m in messages] == [(str(n), 0) for n in range(1, 20)]

    async def test_waiting_receivers_get_messages_in_turn(self, sdk: Sdk) -> None:
        one, other = await sdk.two_receivers("orders")
        waiting = [asyncio.create_task(_receive(receiver, 2)) for receiver in (one, other)]
        await sdk.send("orders", "a", "b", "c", "d")

        batches = await asyncio.gather(*waiting)

        assert sorted(str(message) for batch in batches for message in batch) == ["a", "b", "c", "d"]

    async def test_receive_and_delete_leaves_nothing_to_settle(self, sdk: Sdk, service_bus: ServiceBus) -> None:
        await sdk.send("orders", "a", "b")
        receiver = await sdk.receiver("orders", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
        messages = await _receive(receiver, 2)

        assert [str(message) for message in messages] == ["a", "b"]
        assert _counts(service_bus, "orders") == {"enqueued": 2, "completed": 2}


class TestDeadLetters:
    async def test_a_dead_letter_carries_reason_description_and_source(self, sdk: Sdk, service_bus: ServiceBus) -> None:
        await sdk.send("orders", ServiceBusMessage("bad", application_properties={"mine": "kept"}))
        receiver = await sdk.receiver("orders")
        message = await _receive_one(receiver)
        await receiver.dead_letter_message(message, reason="Unreadable", error_description="no such field")

        assert _counts(service_bus, "orders") == {"dead_lettered": 1, "enqueued": 1}
        receiver = await sdk.receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        dead = await _receive_one(receiver)
        await receiver.complete_message(dead)
        assert str(dead) == "bad"
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Unreadable", "no such field")
        assert dead.dead_letter_source == "orders"
        assert dead.sequence_number == message.sequence_number
        assert (dead.application_properties or {})[b"mine"] == b"kept"
        assert _counts(service_bus, "orders") == {"enqueued": 1}

    async def test_a_message_that_fails_max_delivery_count_times_is_dead_lettered(
        self, sdk: Sdk, service_bus: ServiceBus, clock: HandClock
    ) -> None:
        await sdk.send("picky", "poison")
        receiver = await sdk.receiver("picky")
        await receiver.abandon_message(await _receive_one(receiver))
        await _receive_one(receiver)
        clock.advance(61)
        await _receive_nothing(receiver)

        assert _counts(service_bus, "picky") == {"dead_lettered": 1, "enqueued": 1}
        receiver = await sdk.receiver("picky", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        dead = await _receive_one(receiver)
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert dead.dead_letter_error_description == "Message could not be consumed after 2 delivery attempts."

    async def test_a_dead_letter_stays_however_often_it_is_abandoned(self, sdk: Sdk) -> None:
        await sdk.send("picky", "poison")
        receiver = await sdk.receiver("picky")
        await receiver.dead_letter_message(await _receive_one(receiver), reason="Bad")
        receiver = await sdk.receiver("picky", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        for _ in range(5):
            await receiver.abandon_message(await _receive_one(receiver))

        assert (await _receive_one(receiver)).dead_letter_reason == "Bad"

    async def test_a_message_cannot_be_dead_lettered_from_the_dead_letter_queue(self, sdk: Sdk) -> None:
        await sdk.send("orders", "bad")
        receiver = await sdk.receiver("orders")
        await receiver.dead_letter_message(await _receive_one(receiver))
        receiver = await sdk.receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        dead = await _receive_one(receiver)

        with pytest.raises(ServiceBusError, match="cannot be dead-lettered"):
            await receiver.dead_letter_message(dead)


class TestScheduling:
    async def test_a_scheduled_message_arrives_when_due_as_if_enqueued_then(
        self, sdk: Sdk, service_bus: ServiceBus, clock: HandClock
    ) -> None:
        sender = sdk.sender("orders")
        due = datetime.now(UTC) + timedelta(seconds=60)
        (number,) = await sender.schedule_messages([ServiceBusMessage("later")], due)
        await sender.send_messages(ServiceBusMessage("now"))
        receiver = await sdk.receiver("orders")
        await receiver.complete_message(await _receive_one(receiver))
        assert service_bus.stats()["orders"]["scheduled"] == 1
        clock.advance(61)

        message = await _receive_one(receiver)

        assert str(message) == "later"
        assert message.sequence_number is not None
        assert message.sequence_number > number

    async def test_a_message_sent_with_a_scheduled_time_waits_for_it_while_a_receiver_waits(
        self, stack: AsyncExitStack
    ) -> None:
        sdk = await _connect(stack, await stack.enter_async_context(ServiceBus(["orders"])))
        receiver = await sdk.receiver("orders")
        due = datetime.now(UTC) + timedelta(seconds=1)
        await sdk.send("orders", ServiceBusMessage("later", scheduled_enqueue_time_utc=due))

        message = await _receive_one(receiver)

        assert datetime.now(UTC) >= due - timedelta(milliseconds=5)
        assert message.scheduled_enqueue_time_utc is not None

    async def test_a_cancelled_message_never_arrives(self, sdk: Sdk, service_bus: ServiceBus, clock: HandClock) -> None:
        sender = sdk.sender("orders")
        due = datetime.now(UTC) + timedelta(seconds=60)
        numbers = await sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], due)

        await sender.cancel_scheduled_messages(numbers)

        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(numbers[0])
        clock.advance(61)
        assert _counts(service_bus, "orders") == {"enqueued": 2}


class TestDuplicateDetection:
    async def test_a_repeated_id_is_accepted_and_dropped_even_after_the_first_was_completed(
        self, sdk: Sdk, service_bus: ServiceBus
    ) -> None:
        await sdk.send("once", ServiceBusMessage("original", message_id="7"))
        await sdk.send("once", ServiceBusMessage("copy", message_id="7"))
        receiver = await sdk.receiver("once")
        message = await _receive_one(receiver)
        await receiver.complete_message(message)
        await sdk.send("once", ServiceBusMessage("late copy", message_id="7"))
        await _receive_nothing(receiver)

        assert str(message) == "original"
        assert _counts(service_bus, "once") == {"enqueued": 1, "completed": 1, "suppressed": ["7", "7"]}

    async def test_an_id_is_forgotten_when_the_history_window_has_passed(
        self, sdk: Sdk, service_bus: ServiceBus, clock: HandClock
    ) -> None:
        await sdk.send("once", ServiceBusMessage("original", message_id="7"))
        clock.advance(599)
        await sdk.send("once", ServiceBusMessage("copy", message_id="7"))
        clock.advance(2)

        await sdk.send("once", ServiceBusMessage("new", message_id="7"))

        assert _counts(service_bus, "once") == {"active": 2, "enqueued": 2, "suppressed": ["7"]}

    async def test_a_scheduled_copy_of_a_known_id_is_dropped_too(self, sdk: Sdk, service_bus: ServiceBus) -> None:
        due = datetime.now(UTC) + timedelta(seconds=60)
        sender = sdk.sender("once")
        await sender.send_messages(ServiceBusMessage("original", message_id="7"))
        await sender.send_messages(ServiceBusMessage("copy", message_id="7", scheduled_enqueue_time_utc=due))
        await sender.schedule_messages(ServiceBusMessage("copy", message_id="7"), due)

        assert _counts(service_bus, "once") == {"active": 1, "enqueued": 1, "suppressed": ["7", "7"]}

    async def test_messages_without_an_id_are_no_duplicates(self, sdk: Sdk, service_bus: ServiceBus) -> None:
        await sdk.send("once", "same", "same")

        assert _counts(service_bus, "once") == {"active": 2, "enqueued": 2}

    async def test_without_duplicate_detection_ids_may_repeat(self, sdk: Sdk, service_bus: ServiceBus) -> None:
        await sdk.send("orders", *(ServiceBusMessage("same", message_id="7") for _ in range(2)))

        assert _counts(service_bus, "orders") == {"active": 2, "enqueued": 2}


class TestPeeking:
    async def test_peek_pages_over_active_locked_and_scheduled_messages_without_touching_them(
        self, sdk: Sdk, service_bus: ServiceBus
    ) -> None:
        due = datetime.now(UTC) + timedelta(seconds=60)
        await sdk.send("orders", "locked", "active")
        await sdk.send("orders", ServiceBusMessage("scheduled", scheduled_enqueue_time_utc=due))
        one, other = await sdk.two_receivers("orders")
        await _receive_one(one)
        before = service_bus.stats()

        pages = [await other.peek_messages(2) for _ in range(3)]

        assert [[str(message) for message in page] for page in pages] == [["locked", "active"], ["scheduled"], []]
        states = [message.state for page in pages for message in page]
        assert states == [ServiceBusMessageState.ACTIVE] * 2 + [ServiceBusMessageState.SCHEDULED]
        assert service_bus.stats() == before

    async def test_peek_from_a_number_that_is_gone_goes_on_with_the_next_higher(self, sdk: Sdk) -> None:
        await sdk.send("orders", "a", "b", "c")
        receiver = await sdk.receiver("orders")
        first = await _receive_one(receiver)
        await receiver.complete_message(first)

        (peeked,) = await receiver.peek_messages(1, sequence_number=first.sequence_number or 0)

        assert str(peeked) == "b"

    async def test_dead_letters_are_peeked_in_their_own_queue(self, sdk: Sdk) -> None:
        await sdk.send("orders", *map(str, range(5)))
        receiver = await sdk.receiver("orders")
        for message in reversed(await _receive(receiver, 5)):
            await receiver.dead_letter_message(message, reason="Bad")
        assert await receiver.peek_messages(10, sequence_number=1) == []

        receiver = await sdk.receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        peeked = await receiver.peek_messages(10)

        assert [(str(m), m.dead_letter_reason) for m in peeked] == [(str(n), "Bad") for n in range(5)]

    async def test_a_deep_queue_is_read_back_whole(self, sdk: Sdk) -> None:
        for start in range(0, 1000, 250):
            await sdk.send("orders", *map(str, range(start, start + 250)))
        found: list[str] = []
        receiver = await sdk.receiver("orders")
        while page := await receiver.peek_messages(1000):
            found += map(str, page)

        assert found == [str(number) for number in range(1000)]


class TestTheServer:
    async def test_the_synchronous_sdk_works_alike(self, service_bus: ServiceBus) -> None:
        def run() -> list[str]:
            with SyncClient.from_connection_string(service_bus.connection_string, retry_total=0) as client:
                with client.get_queue_sender("orders") as sender:
                    sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
                with client.get_queue_receiver("orders", socket_timeout=0.02) as receiver:
                    messages = receiver.receive_messages(2, max_wait_time=WITHIN)
                    receiver.complete_message(messages[0])
                    receiver.abandon_message(messages[1])
                    return [str(message) for message in messages + receiver.peek_messages(1, sequence_number=1)]

        # A thread of its own: the synchronous client blocks, the server shares this test's loop.
        seen = await asyncio.to_thread(run)

        assert seen == ["a", "b", "b"]
        assert _counts(service_bus, "orders") == {"active": 1, "enqueued": 2, "completed": 1}

    async def test_messages_outlive_a_restart_of_the_listener(self, stack: AsyncExitStack) -> None:
        service_bus = ServiceBus(["orders"])
        async with service_bus:
            sdk = await _connect(stack, service_bus)
            await sdk.send("orders", "kept")

        await stack.enter_async_context(service_bus)

        receiver = await (await _connect(stack, service_bus)).receiver("orders")
        assert str(await _receive_one(receiver)) == "kept"

    async def test_a_port_in_use_is_an_error_on_entering(self, service_bus: ServiceBus) -> None:
        with pytest.raises(OSError, match="address already in use"):
            async with ServiceBus([], port=service_bus.port):
                pass
