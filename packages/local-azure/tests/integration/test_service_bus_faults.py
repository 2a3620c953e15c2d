"""Each kind of fault of the script, as the unmodified SDK meets it."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp.error import AMQPException
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusServerBusyError,
)

from penstock_local_azure import (
    CloseConnection,
    DeliverAgain,
    DetachLink,
    LocalAzure,
    LoseAnswer,
    Queue,
    Refuse,
    ServiceBus,
    SlowAnswer,
    StallConnection,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # When a connection ends under it, the SDK leaves the socket to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SERVER_BUSY = "com.microsoft:server-busy"
LOCK_LOST = "com.microsoft:message-lock-lost"
WITHIN = 5.0
SHORT = 0.4
"""Seconds after which an answer that never comes counts as lost."""


class Sdk:
    """The SDK with its own retries off, so that each fault shows."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._open: list[ServiceBusReceiver | ServiceBusSender] = []

    def sender(self, queue: str = "q") -> ServiceBusSender:
        self._open.append(sender := self._client.get_queue_sender(queue))
        return sender

    def receiver(self, queue: str = "q") -> ServiceBusReceiver:
        self._open.append(receiver := self._client.get_queue_receiver(queue, socket_timeout=0.02))
        return receiver

    async def close(self) -> None:
        await asyncio.gather(*(_close(end) for end in (*self._open, self._client)))


async def _close(end: ServiceBusReceiver | ServiceBusSender | ServiceBusClient) -> None:
    """Close what may be broken in any way: a farewell on a stalled connection has no end."""
    with contextlib.suppress(ServiceBusError, OSError, AttributeError, ValueError, AMQPException):
        async with asyncio.timeout(WITHIN):
            await end.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closing() -> AsyncIterator[list[asyncio.Task[None]]]:
    """What tests leave to be closed while others run: the SDK sleeps half a second in every close."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    await asyncio.gather(*tasks)
    tasks.clear()
    gc.collect()  # the sockets that the SDK has left: here is where that is forgiven


@pytest_asyncio.fixture(loop_scope="module")
async def stack(closing: list[asyncio.Task[None]]) -> AsyncIterator[AsyncExitStack]:
    stack = AsyncExitStack()
    yield stack
    closing.append(asyncio.create_task(stack.aclose()))


@pytest_asyncio.fixture(loop_scope="module")
async def bus(stack: AsyncExitStack) -> ServiceBus:
    queues = [Queue("q"), Queue("other"), Queue("brief", lock_duration=1.0)]
    return await stack.enter_async_context(ServiceBus(queues))


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(bus: ServiceBus, stack: AsyncExitStack) -> Sdk:
    ends = Sdk(ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0))
    stack.push_async_callback(ends.close)
    return ends


async def receive(receiver: ServiceBusReceiver, count: int = 1, *, within: float = WITHIN) -> list[Any]:
    return await receiver.receive_messages(max_message_count=count, max_wait_time=within)


async def bodies(receiver: ServiceBusReceiver, count: int) -> list[str]:
    return sorted(str(message) for message in await receive(receiver, count))


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN):
        while not condition():
            await asyncio.sleep(0.01)


# --- an answer that is lost


async def test_a_send_whose_answer_is_lost_has_arrived(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(LoseAnswer(), on="send", entity="q", nth=2)
    sender = sdk.sender()
    await sender.send_messages(ServiceBusMessage("first"))

    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("second"), timeout=SHORT)

    await sender.send_messages(ServiceBusMessage("third"))
    assert await bodies(sdk.receiver(), 3) == ["first", "second", "third"]
    assert bus.faults.fired == {("LoseAnswer", "send", "q"): 1}


async def test_a_completion_whose_answer_is_lost_is_done(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(LoseAnswer(), on="settle", entity="q")
    await sdk.sender().send_messages(ServiceBusMessage("x"))
    receiver = sdk.receiver()
    (message,) = await receive(receiver)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(receiver.complete_message(message), SHORT)

    assert bus.stats()["q"]["completed"] == 1


async def test_a_renewal_whose_answer_is_lost_has_renewed(stack: AsyncExitStack) -> None:
    ahead = 0.0
    bus = await stack.enter_async_context(ServiceBus(["q"], clock=lambda: time.monotonic() + ahead))
    sdk = Sdk(ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0))
    stack.push_async_callback(sdk.close)
    bus.faults.add(LoseAnswer(), on="renew", nth=2)
    await sdk.sender().send_messages(ServiceBusMessage("x"))
    receiver = sdk.receiver()
    (message,) = await receive(receiver)
    await receiver.renew_message_lock(message)  # so that all is open when time counts
    ahead += 40.0

    with pytest.raises(OperationTimeoutError):
        await receiver.renew_message_lock(message, timeout=SHORT)
    ahead += 40.0  # the lock as it was before has expired

    assert bus.stats()["q"]["locked"] == 1
    await receiver.renew_message_lock(message)
    await receiver.complete_message(message)
    assert bus.stats()["q"]["completed"] == 1


async def test_an_attach_whose_answer_is_lost_leaves_the_client_waiting(
    bus: ServiceBus, sdk: Sdk, stack: AsyncExitStack
) -> None:
    bus.faults.add(LoseAnswer(), on="attach", entity="q", nth=1)
    # Without a limit of its own the SDK waits for ever.
    bounded = Sdk(ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0, try_timeout=3.0))
    stack.push_async_callback(bounded.close)

    with pytest.raises(OperationTimeoutError):
        await bounded.receiver().__aenter__()

    assert bus.faults.fired == {("LoseAnswer", "attach", "q"): 1}
    await sdk.receiver().__aenter__()


# --- refusals


async def test_a_refused_send_has_not_arrived_and_the_link_goes_on(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(SERVER_BUSY), on="send", entity="q", nth=2)
    sender = sdk.sender()
    await sender.send_messages(ServiceBusMessage("first"))

    with pytest.raises(ServiceBusServerBusyError):
        await sender.send_messages(ServiceBusMessage("second"))

    await sender.send_messages(ServiceBusMessage("third"))
    assert await bodies(sdk.receiver(), 2) == ["first", "third"]
    assert bus.stats()["q"]["enqueued"] == 2


async def test_a_refused_send_of_several_frames_has_not_arrived(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(SERVER_BUSY), on="send", nth=1)
    sender = sdk.sender()

    with pytest.raises(ServiceBusServerBusyError):
        await sender.send_messages(ServiceBusMessage("x" * 300_000))

    await sender.send_messages(ServiceBusMessage("y" * 300_000))
    assert [len(body) for body in await bodies(sdk.receiver(), 1)] == [300_000]
    assert bus.stats()["q"]["enqueued"] == 1


async def test_many_refused_sends_use_up_no_credit(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(SERVER_BUSY), on="send")
    sender = sdk.sender()

    for _ in range(1200):  # more than the credit a sender gets at once
        with pytest.raises(ServiceBusServerBusyError):
            await sender.send_messages(ServiceBusMessage("x"), timeout=WITHIN)

    bus.faults.clear()
    await sender.send_messages(ServiceBusMessage("y"), timeout=WITHIN)
    assert bus.stats()["q"]["enqueued"] == 1


async def test_a_refused_settlement_leaves_the_message_locked(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(LOCK_LOST), on="settle", entity="q", nth=1)
    await sdk.sender().send_messages(ServiceBusMessage("x"))
    receiver = sdk.receiver()
    (message,) = await receive(receiver)

    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(message)

    assert bus.stats()["q"]["locked"] == 1
    assert bus.stats()["q"]["completed"] == 0


async def test_a_refused_renewal_leaves_the_lock_as_it_was(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(LOCK_LOST, status=410), on="renew", entity="q", nth=1)
    await sdk.sender().send_messages(ServiceBusMessage("x"))
    receiver = sdk.receiver()
    (message,) = await receive(receiver)

    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(message)

    assert (await receiver.renew_message_lock(message)).timestamp() > time.time()
    await receiver.complete_message(message)


async def test_a_refused_attach_names_its_condition(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(SERVER_BUSY), on="attach", entity="Q", nth=1)

    with pytest.raises(ServiceBusServerBusyError):
        await sdk.sender().send_messages(ServiceBusMessage("x"))

    await sdk.sender().send_messages(ServiceBusMessage("y"))
    assert await bodies(sdk.receiver(), 1) == ["y"]


async def test_a_refused_token_is_an_authentication_error(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse("amqp:unauthorized-access", status=401), on="put-token", entity="q")

    with pytest.raises(ServiceBusAuthenticationError):
        await sdk.receiver().__aenter__()

    await sdk.receiver("other").__aenter__()
    assert set(bus.faults.fired) == {("Refuse", "put-token", "q")}


# --- links and connections that end


@pytest.mark.parametrize("condition", [None, "amqp:link:detach-forced"])
async def test_a_sender_whose_link_is_detached_is_attached_again(
    bus: ServiceBus, sdk: Sdk, condition: str | None
) -> None:
    bus.faults.add(DetachLink(condition), on="send", entity="q", nth=1)
    sender = sdk.sender()

    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("first"), timeout=WITHIN)

    await sender.send_messages(ServiceBusMessage("second"), timeout=WITHIN)
    assert await bodies(sdk.receiver(), 2) == ["first", "second"]


async def test_a_link_detached_before_the_send_is_done_takes_nothing(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(DetachLink("amqp:link:detach-forced", done=False), on="send", entity="q", nth=1)
    sender = sdk.sender()

    with pytest.raises(ServiceBusConnectionError):
        await sender.send_messages(ServiceBusMessage("first"), timeout=WITHIN)

    await sender.send_messages(ServiceBusMessage("second"), timeout=WITHIN)
    assert await bodies(sdk.receiver(), 1) == ["second"]


async def test_a_receiver_whose_link_is_detached_after_a_delivery_gets_the_message_when_its_lock_expires(
    bus: ServiceBus, sdk: Sdk
) -> None:
    bus.faults.add(DetachLink("amqp:link:detach-forced"), on="deliver", entity="brief", nth=1)
    await sdk.sender("brief").send_messages(ServiceBusMessage("x"))

    with contextlib.suppress(ServiceBusConnectionError):  # what is seen first, the message or the end, is chance
        await receive(sdk.receiver("brief"))

    (message,) = await receive(sdk.receiver("brief"))
    assert (str(message), message.delivery_count) == ("x", 1)


async def test_a_receiver_whose_link_is_detached_as_it_settles_settles_through_management(
    bus: ServiceBus, sdk: Sdk
) -> None:
    bus.faults.add(DetachLink("amqp:link:detach-forced", done=False), on="settle", entity="q", nth=1)
    await sdk.sender().send_messages(ServiceBusMessage("x"))
    receiver = sdk.receiver()
    (message,) = await receive(receiver)

    await receiver.complete_message(message)

    assert bus.faults.fired == {("DetachLink", "settle", "q"): 1}
    assert bus.stats()["q"]["completed"] == 1


async def test_a_link_that_is_detached_as_soon_as_it_is_attached(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(DetachLink("com.microsoft:entity-disabled"), on="attach", entity="q", nth=1)
    sender = sdk.sender()

    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("first"), timeout=WITHIN)

    await sender.send_messages(ServiceBusMessage("second"), timeout=WITHIN)
    assert await bodies(sdk.receiver(), 1) == ["second"]


@pytest.mark.parametrize("condition", [None, "amqp:connection:forced"])
@pytest.mark.parametrize("done", [True, False])
async def test_a_connection_that_ends_with_a_send(
    bus: ServiceBus, sdk: Sdk, condition: str | None, *, done: bool
) -> None:
    bus.faults.add(CloseConnection(condition, done=done), on="send", entity="q", nth=2)
    sender = sdk.sender()
    await sender.send_messages(ServiceBusMessage("first"))

    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("second"), timeout=WITHIN)

    assert bus.stats()["q"]["enqueued"] == (2 if done else 1)
    await sdk.sender().send_messages(ServiceBusMessage("third"))
    assert bus.faults.fired == {("CloseConnection", "send", "q"): 1}


async def test_a_connection_that_ends_in_the_middle_of_a_delivery_loses_no_message(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(CloseConnection(done=False), on="deliver", entity="brief", nth=1)
    await sdk.sender("brief").send_messages(ServiceBusMessage("x"))

    with pytest.raises((ServiceBusError, AttributeError)):
        await receive(sdk.receiver("brief"), within=1.0)

    (message,) = await receive(sdk.receiver("brief"))
    assert (str(message), message.delivery_count) == ("x", 1)


async def test_a_stalled_connection_looks_idle_and_others_go_on(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(StallConnection(), on="settle", entity="q", nth=1)
    await sdk.sender().send_messages([ServiceBusMessage("first"), ServiceBusMessage("second")])
    receiver = sdk.receiver()
    (message,) = await receive(receiver)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(receiver.complete_message(message), SHORT)
    assert await receive(receiver, within=SHORT) == []

    assert bus.stats()["q"]["completed"] == 1
    assert [str(message) for message in await receive(sdk.receiver())] == ["second"]


async def test_a_connection_stalled_before_the_send_is_done_takes_nothing(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(StallConnection(done=False), on="send", entity="q", nth=1)

    with pytest.raises(ServiceBusError):
        await sdk.sender().send_messages(ServiceBusMessage("x"), timeout=SHORT)

    assert bus.stats()["q"]["enqueued"] == 0


# --- late, and twice


async def test_slow_answers_come_late_and_in_order(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(SlowAnswer(0.3), on="settle", entity="q", every=2)
    await sdk.sender().send_messages([ServiceBusMessage(str(number)) for number in range(4)])
    receiver = sdk.receiver()
    messages = await receive(receiver, 4)

    took = []
    for message in messages:
        began = time.monotonic()
        await receiver.complete_message(message)
        took.append(time.monotonic() - began)

    assert bus.stats()["q"]["completed"] == 4
    assert min(took[1], took[3]) >= 0.3
    assert bus.faults.fired == {("SlowAnswer", "settle", "q"): 2}


async def test_a_slow_delivery_arrives_with_its_lock_nearly_gone(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(SlowAnswer(0.7), on="deliver", entity="brief", nth=1)
    await sdk.sender("brief").send_messages(ServiceBusMessage("x"))

    (message,) = await receive(sdk.receiver("brief"))

    assert message.locked_until_utc.timestamp() - time.time() < 0.35


async def test_a_completed_message_is_delivered_again_under_a_new_lock(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(DeliverAgain(), on="settle", entity="q", nth=1)
    await sdk.sender().send_messages(ServiceBusMessage("x", message_id="x"))
    receiver = sdk.receiver()
    (first,) = await receive(receiver)
    tokens = [first.lock_token]
    await receiver.complete_message(first)

    (again,) = await receive(receiver)
    tokens.append(again.lock_token)
    await receiver.complete_message(again)

    assert tokens[0] != tokens[1]
    assert (again.message_id, again.sequence_number) == (first.message_id, first.sequence_number)
    assert (first.delivery_count, again.delivery_count) == (0, 1)
    assert bus.stats()["q"]["completed"] == 1


async def test_a_dead_lettering_can_be_forgotten_too(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(DeliverAgain(), on="settle", entity="q", nth=1)
    await sdk.sender().send_messages(ServiceBusMessage("x"))
    receiver = sdk.receiver()
    for _ in range(2):
        (message,) = await receive(receiver)
        await receiver.dead_letter_message(message, reason="r")

    assert bus.stats()["q"]["dead_lettered"] == 1


async def test_a_wall_clock_that_goes_wrong_skews_what_messages_are_stamped_with() -> None:
    skew = 0.0
    async with (
        ServiceBus(["q"], wall_clock=lambda: time.time() + skew) as bus,
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q") as receiver,
    ):
        skew = -90.0
        await sender.send_messages(ServiceBusMessage("x"))
        (message,) = await receive(receiver)

        assert message._lock_expired
        assert bus.stats()["q"]["locked"] == 1


# --- the script itself


async def test_a_fault_strikes_only_its_entity_and_counts_from_when_it_was_added(bus: ServiceBus, sdk: Sdk) -> None:
    sender, other = sdk.sender(), sdk.sender("other")
    await sender.send_messages(ServiceBusMessage("before"))
    bus.faults.add(Refuse(SERVER_BUSY), on="send", entity="q", nth=2)

    await other.send_messages(ServiceBusMessage("elsewhere"))
    await other.send_messages(ServiceBusMessage("elsewhere"))
    await sender.send_messages(ServiceBusMessage("first"))
    with pytest.raises(ServiceBusServerBusyError):
        await sender.send_messages(ServiceBusMessage("second"))
    await sender.send_messages(ServiceBusMessage("third"))

    assert bus.faults.fired == {("Refuse", "send", "q"): 1}


async def refused(bus: ServiceBus, seed: int) -> list[int]:
    """Return which of 60 operations chance refuses."""
    bus.faults.clear()
    bus.faults.add(Refuse(SERVER_BUSY), on="send", entity="q", chance=0.3, seed=seed)
    return [number for number in range(60) if bus.faults.strike("send", "q")]


async def test_chance_is_the_same_for_the_same_seed(bus: ServiceBus) -> None:
    assert await refused(bus, 1) == await refused(bus, 1) != await refused(bus, 2)
    assert 5 < len(await refused(bus, 1)) < 35


async def test_every_so_many(bus: ServiceBus) -> None:
    bus.faults.add(Refuse(SERVER_BUSY), on="send", every=3)

    assert [bus.faults.strike("send", "q") is not None for _ in range(7)] == [False, False, True] * 2 + [False]


async def test_a_cleared_script_strikes_no_more_and_keeps_its_account(bus: ServiceBus, sdk: Sdk) -> None:
    bus.faults.add(Refuse(SERVER_BUSY), on="send")
    sender = sdk.sender()
    with pytest.raises(ServiceBusServerBusyError):
        await sender.send_messages(ServiceBusMessage("x"))

    bus.faults.clear()
    await sender.send_messages(ServiceBusMessage("y"))

    assert bus.faults.fired == {("Refuse", "send", "q"): 1}


async def test_the_account_is_part_of_the_stand_ins_stats() -> None:
    azure = LocalAzure(["q"])
    azure.service_bus.faults.add(LoseAnswer(), on="settle")
    azure.service_bus.faults.strike("settle", "q")

    assert azure.stats()["service_bus"]["faults"] == [
        {"fault": "LoseAnswer", "on": "settle", "entity": "q", "count": 1}
    ]


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        (LoseAnswer(), {"on": "deliver"}),
        (Refuse(SERVER_BUSY), {"on": "deliver"}),
        (DeliverAgain(), {"on": "send"}),
        (DetachLink(done=False), {"on": "attach"}),
        (SlowAnswer(0.0), {"on": "send"}),
        (LoseAnswer(), {"on": "receive"}),
        (LoseAnswer(), {"on": "send", "nth": 0}),
        (LoseAnswer(), {"on": "send", "every": 0}),
        (LoseAnswer(), {"on": "send", "chance": 1.5}),
    ],
)
async def test_what_cannot_be_is_refused(bus: ServiceBus, fault: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r"must|cannot"):
        bus.faults.add(fault, **options)
