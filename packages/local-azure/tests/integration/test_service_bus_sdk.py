"""The local Service Bus through the unmodified SDK, where it goes beyond what is documented, or can be looked into.

Locks and windows are driven by a clock the test owns; `test_service_bus_documented.py` has all that needs no such help.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    ServiceBusError,
    SessionLockLostError,
)

from penstock_local_azure import Queue, ServiceBus, Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from conftest import Sdk

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCK = 60.0


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


@pytest_asyncio.fixture(loop_scope="module")
async def service_bus(stack: "AsyncExitStack", clock: HandClock) -> ServiceBus:
    entities: list[Queue | Topic] = [
        Queue("orders"),
        Queue("picky", max_delivery_count=2),
        Queue("once", duplicate_detection=600.0),
        Queue("grouped", requires_session=True),
        Topic("news", ["one", "other"]),
    ]
    return await stack.enter_async_context(ServiceBus(entities, clock=clock))


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(connect: "Callable[[str], Sdk]", service_bus: ServiceBus) -> "Sdk":
    return connect(service_bus.connection_string)


def _counts(service_bus: ServiceBus, queue: str) -> dict[str, Any]:
    return {name: value for name, value in service_bus.stats()[queue].items() if value}


class TestAddresses:
    async def test_entity_names_are_the_same_in_upper_and_lower_case(self, sdk: "Sdk") -> None:
        await sdk.send("ORDERS", "shouted")

        assert str(await sdk.receive_one(await sdk.receiver("Orders"))) == "shouted"

    @pytest.mark.parametrize("name", ["orders/$DeadLetterQueue", "news/Subscriptions/one"])
    async def test_nobody_sends_past_the_entrance(self, sdk: "Sdk", name: str) -> None:
        with pytest.raises(ServiceBusError, match="cannot be sent"):
            await sdk.send(name, "x")

    async def test_nobody_receives_from_a_topic_itself(self, sdk: "Sdk") -> None:
        with pytest.raises(ServiceBusError, match="cannot be received"):
            await sdk.receiver("news")

    async def test_more_messages_than_the_first_grant_of_credit_go_through(
        self, sdk: "Sdk", service_bus: ServiceBus
    ) -> None:
        for number in range(1100):
            await sdk.sender("orders").send_messages(ServiceBusMessage(str(number)))

        assert _counts(service_bus, "orders") == {"active": 1100, "enqueued": 1100}

    async def test_a_topics_accounts_and_its_subscriptions_are_kept_apart(
        self, sdk: "Sdk", service_bus: ServiceBus
    ) -> None:
        await sdk.send("news", "x")
        receiver = await sdk.receiver("news", "one")
        await receiver.complete_message(await sdk.receive_one(receiver))

        assert _counts(service_bus, "news") == {"enqueued": 1}
        assert _counts(service_bus, "news/Subscriptions/one") == {"enqueued": 1, "completed": 1}
        assert _counts(service_bus, "news/Subscriptions/other") == {"enqueued": 1, "active": 1}


class TestLocks:
    async def test_an_abandoned_message_takes_its_place_again(self, sdk: "Sdk") -> None:
        await sdk.send("orders", "first", "second")
        receiver = await sdk.receiver("orders")

        await receiver.abandon_message(await sdk.receive_one(receiver))

        assert [str(message) for message in await sdk.receive(receiver, 2)] == ["first", "second"]

    async def test_settling_after_the_broker_has_taken_the_lock_fails_whatever_the_client_thinks(
        self, sdk: "Sdk", service_bus: ServiceBus, clock: HandClock
    ) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        message = await sdk.receive_one(receiver)
        clock.advance(LOCK + 1)

        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(message)

        assert _counts(service_bus, "orders") == {"active": 1, "enqueued": 1}

    async def test_a_renewed_lock_lasts_a_full_lock_duration_from_then(self, sdk: "Sdk", clock: HandClock) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        message = await sdk.receive_one(receiver)
        clock.advance(LOCK - 10)
        until = await receiver.renew_message_lock(message)
        clock.advance(LOCK - 10)

        await receiver.complete_message(message)

        assert LOCK - 5 < (until - datetime.now(UTC)).total_seconds() <= LOCK

    async def test_a_closed_receiver_leaves_the_lock_of_what_it_handed_out(
        self, sdk: "Sdk", service_bus: ServiceBus
    ) -> None:
        await sdk.send("orders", "work")
        receiver = await sdk.receiver("orders")
        await sdk.receive_one(receiver)

        await receiver.close()

        assert _counts(service_bus, "orders") == {"locked": 1, "enqueued": 1}

    async def test_waiting_receivers_get_messages_in_turn(self, sdk: "Sdk") -> None:
        one, other = await sdk.two_receivers("orders")
        waiting = [asyncio.create_task(sdk.receive(receiver, 2)) for receiver in (one, other)]
        await sdk.send("orders", "a", "b", "c", "d")

        batches = await asyncio.gather(*waiting)

        assert sorted(str(message) for batch in batches for message in batch) == ["a", "b", "c", "d"]


class TestDeadLetters:
    async def test_a_dead_letter_keeps_its_number_and_names_its_source(
        self, sdk: "Sdk", service_bus: ServiceBus
    ) -> None:
        await sdk.send("orders", "bad")
        receiver = await sdk.receiver("orders")
        message = await sdk.receive_one(receiver)
        await receiver.dead_letter_message(message, reason="Unreadable")

        assert _counts(service_bus, "orders") == {"dead_lettered": 1, "enqueued": 1}
        dead = await sdk.receive_one(await sdk.receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER))
        assert (dead.sequence_number, dead.dead_letter_source) == (message.sequence_number, "orders")

    async def test_too_many_deliveries_are_told_with_their_number(self, sdk: "Sdk", clock: HandClock) -> None:
        await sdk.send("picky", "poison")
        receiver = await sdk.receiver("picky")
        await receiver.abandon_message(await sdk.receive_one(receiver))
        await sdk.receive_one(receiver)
        clock.advance(LOCK + 1)
        await sdk.receive_nothing(receiver)

        dead = await sdk.receive_one(await sdk.receiver("picky", sub_queue=ServiceBusSubQueue.DEAD_LETTER))
        assert dead.dead_letter_error_description == "Message could not be consumed after 2 delivery attempts."

    async def test_a_dead_letter_stays_however_often_it_is_abandoned(self, sdk: "Sdk") -> None:
        await sdk.send("picky", "poison")
        receiver = await sdk.receiver("picky")
        await receiver.dead_letter_message(await sdk.receive_one(receiver), reason="Bad")
        receiver = await sdk.receiver("picky", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        for _ in range(5):
            await receiver.abandon_message(await sdk.receive_one(receiver))

        assert (await sdk.receive_one(receiver)).dead_letter_reason == "Bad"


class TestDuplicateDetection:
    async def test_an_id_is_forgotten_when_the_history_window_has_passed(
        self, sdk: "Sdk", service_bus: ServiceBus, clock: HandClock
    ) -> None:
        await sdk.send("once", ServiceBusMessage("original", message_id="7"))
        clock.advance(599)
        await sdk.send("once", ServiceBusMessage("copy", message_id="7"))
        clock.advance(2)

        await sdk.send("once", ServiceBusMessage("new", message_id="7"))

        assert _counts(service_bus, "once") == {"active": 2, "enqueued": 2, "suppressed": ["7"]}

    async def test_a_scheduled_copy_of_a_known_id_is_dropped_too(self, sdk: "Sdk", service_bus: ServiceBus) -> None:
        due = datetime.now(UTC) + timedelta(seconds=60)
        sender = sdk.sender("once")
        await sender.send_messages(ServiceBusMessage("original", message_id="7"))
        await sender.send_messages(ServiceBusMessage("copy", message_id="7", scheduled_enqueue_time_utc=due))
        await sender.schedule_messages(ServiceBusMessage("copy", message_id="7"), due)

        assert _counts(service_bus, "once") == {"active": 1, "enqueued": 1, "suppressed": ["7", "7"]}

    async def test_messages_without_an_id_are_no_duplicates(self, sdk: "Sdk", service_bus: ServiceBus) -> None:
        await sdk.send("once", "same", "same")

        assert _counts(service_bus, "once") == {"active": 2, "enqueued": 2}


class TestPeeking:
    async def test_peek_from_a_number_that_is_gone_goes_on_with_the_next_higher(self, sdk: "Sdk") -> None:
        await sdk.send("orders", "a", "b", "c")
        receiver = await sdk.receiver("orders")
        first = await sdk.receive_one(receiver)
        await receiver.complete_message(first)

        (peeked,) = await receiver.peek_messages(1, sequence_number=first.sequence_number or 0)

        assert str(peeked) == "b"

    async def test_a_deep_queue_is_read_back_whole(self, sdk: "Sdk") -> None:
        for start in range(0, 1000, 250):
            await sdk.send("orders", *map(str, range(start, start + 250)))
        found: list[str] = []
        receiver = await sdk.receiver("orders")
        while page := await receiver.peek_messages(1000):
            found += map(str, page)

        assert found == [str(number) for number in range(1000)]

    async def test_an_expired_deferred_message_is_seen_and_cannot_be_received(
        self, sdk: "Sdk", service_bus: ServiceBus, clock: HandClock
    ) -> None:
        await sdk.send("orders", ServiceBusMessage("late", time_to_live=timedelta(seconds=30)))
        receiver = await sdk.receiver("orders")
        message = await sdk.receive_one(receiver)
        await receiver.defer_message(message)
        clock.advance(31)

        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(message.sequence_number or 0)

        assert [str(peeked) for peeked in await receiver.peek_messages(1, sequence_number=1)] == ["late"]
        assert _counts(service_bus, "orders") == {"deferred": 1, "enqueued": 1}


class TestSessions:
    async def test_a_receiver_whose_session_the_broker_has_taken_is_told_at_once(
        self, sdk: "Sdk", clock: HandClock
    ) -> None:
        await sdk.send("grouped", ServiceBusMessage("1", session_id="a"), ServiceBusMessage("2", session_id="b"))
        receiver = await sdk.receiver("grouped", session_id="a")
        await sdk.receive_one(receiver)
        clock.advance(LOCK + 1)
        await sdk.send("grouped", ServiceBusMessage("3", session_id="b"))

        with pytest.raises(SessionLockLostError, match="session-lock-lost"):
            await receiver.receive_messages(1, max_wait_time=5)


class TestTheServer:
    async def test_messages_outlive_a_restart_of_the_listener(
        self, stack: "AsyncExitStack", connect: "Callable[[str], Sdk]"
    ) -> None:
        service_bus = ServiceBus(["orders"])
        async with service_bus:
            await connect(service_bus.connection_string).send("orders", "kept")

        await stack.enter_async_context(service_bus)

        sdk = connect(service_bus.connection_string)
        assert str(await sdk.receive_one(await sdk.receiver("orders"))) == "kept"

    async def test_a_port_in_use_is_an_error_on_entering(self, service_bus: ServiceBus) -> None:
        with pytest.raises(OSError, match="address already in use"):
            async with ServiceBus([], port=service_bus.port):
                pass
