"""Topics: messages come from a subscription and results may go to a topic, counted at the far end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from penstock_local_azure import Queue, ServiceBus, Subscription, Topic
from penstock_servicebus import AsyncServiceBusHandler, MessageContext


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBus]:
    """A topic "news" with the subscriptions "mail" and "print", a topic "answers" with "all", and a queue "out"."""
    news = Topic("news", ["mail", Subscription("print", lock_duration=2.0)], duplicate_detection=600.0)
    answers = Topic("answers", ["all"], duplicate_detection=600.0)
    async with ServiceBus([news, answers, Queue("out", duplicate_detection=600.0)]) as service_bus:
        yield service_bus


async def test_a_subscription_is_worked_off_and_the_other_keeps_its_messages(bus: ServiceBus, far_end: Any) -> None:
    async def shout(message: str) -> str:
        return message.upper()

    await far_end.send("news", *(ServiceBusMessage(f"n {index}", message_id=f"n-{index}") for index in range(10)))
    handler = AsyncServiceBusHandler(
        shout, "news", "out", in_subscription="mail", connection_string=bus.connection_string
    )

    statistics = await handler.run(max_messages=10)

    found = await far_end.read("out", 10)
    assert {result.message_id for result in found} == {f"n-{index}/0" for index in range(10)}
    assert statistics.completed == bus.stats()["news/Subscriptions/mail"]["completed"] == 10
    assert bus.stats()["news/Subscriptions/print"]["active"] == 10


async def test_results_may_go_to_a_topic(bus: ServiceBus, far_end: Any) -> None:
    async def echo(message: str) -> str:
        return message

    await far_end.send("news", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        echo, "news", "answers", in_subscription="mail", connection_string=bus.connection_string
    )

    await handler.run(max_messages=1)

    (result,) = await far_end.read("answers/Subscriptions/all", 1)
    assert (result.message_id, result.body) == ("x/0", b"x")


async def test_a_failed_attempt_waits_here_and_is_counted_by_its_deliveries(bus: ServiceBus, far_end: Any) -> None:
    attempts: list[tuple[int, int]] = []
    moments: list[float] = []

    async def fail_twice(_: str, context: MessageContext) -> str:
        attempts.append((context.attempt, context.delivery_count))
        moments.append(asyncio.get_running_loop().time())
        if context.attempt < 3:
            raise RuntimeError
        return "done"

    await far_end.send("news", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        fail_twice,
        "news",
        "out",
        in_subscription="mail",
        connection_string=bus.connection_string,
        retry_delay=0.2,
        max_wait_time=0.2,
    )

    statistics = await handler.run(max_messages=3)

    (result,) = await far_end.read("out", 1)
    assert result.message_id == "x/0"
    assert attempts == [(1, 0), (2, 1), (3, 2)]
    assert (statistics.abandoned, statistics.retried, statistics.completed) == (2, 0, 1)
    assert moments[1] - moments[0] >= 0.8 * 0.2
    assert moments[2] - moments[1] >= 0.8 * 0.4
    assert bus.stats()["news"]["enqueued"] == 1, "a copy would have reached the other subscription"


async def test_after_its_retries_a_message_is_dead_lettered_in_its_subscription(bus: ServiceBus, far_end: Any) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError

    await far_end.send("news", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        fail,
        "news",
        "out",
        in_subscription="mail",
        connection_string=bus.connection_string,
        max_retries=2,
        retry_delay=0.05,
    )

    await handler.run(max_messages=3)

    (dead,) = await far_end.read("news/Subscriptions/mail/$DeadLetterQueue", 1)
    assert (dead.message_id, dead.reason) == ("x", "RetriesExhausted")
    assert dead.description == "2 retries used: RuntimeError at attempt 3"


async def test_a_message_waiting_for_its_next_attempt_keeps_its_lock(bus: ServiceBus, far_end: Any) -> None:
    calls = 0

    async def fail_once(message: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError
        return message

    await far_end.send("news", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        fail_once,
        "news",
        "out",
        in_subscription="print",
        connection_string=bus.connection_string,
        retry_delay=4.0,
        _random=lambda: 0.5,
    )

    statistics = await handler.run(max_messages=2)

    assert statistics.locks_renewed >= 3
    assert (statistics.lock_lost, statistics.abandoned, statistics.completed) == (0, 1, 1)


async def test_at_a_stop_what_waits_for_its_next_attempt_goes_back_at_once_and_counted(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    failed = asyncio.Event()

    async def fail(_: str) -> None:
        failed.set()
        raise RuntimeError

    await far_end.send("news", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        fail, "news", "out", in_subscription="mail", connection_string=bus.connection_string, retry_delay=60.0
    )
    async with handler:
        await failed.wait()
        await eventually(lambda: handler.statistics().in_progress == 1)
        async with asyncio.timeout(10):
            await handler.stop()

    (back,) = await far_end.read("news/Subscriptions/mail", 1)
    assert (back.message_id, back.delivery_count) == ("x", 1)
    assert handler.statistics().abandoned == 1
