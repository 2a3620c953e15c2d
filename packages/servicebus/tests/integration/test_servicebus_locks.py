"""Locks that are shorter than the work, and stops; what kills and faults do is tested in `tests/survival`."""

import asyncio
import time
from typing import Any

from azure.servicebus import ServiceBusMessage

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler


class QuotaAwayError(Exception):
    environment = True
    retry_after = 30.0


def messages(count: int) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(f"body {index}", message_id=f"m-{index}") for index in range(count)]


async def test_locks_are_renewed_while_the_work_takes_longer_than_they_last(bus: ServiceBus, far_end: Any) -> None:
    started: list[str] = []

    async def slow(message: str) -> str:
        started.append(message)
        await asyncio.sleep(5.0)
        return message

    await far_end.send("short", *messages(3))
    handler = AsyncServiceBusHandler(slow, "short", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=3)

    assert sorted(started) == ["body 0", "body 1", "body 2"]
    assert statistics.completed == 3
    assert statistics.lock_lost == 0
    assert statistics.locks_renewed >= 9
    assert len(await far_end.read("out", 3)) == 3


async def test_a_lock_lost_to_a_blocked_loop_is_counted_and_no_result_is_doubled(bus: ServiceBus, far_end: Any) -> None:
    calls = 0

    async def block_once(message: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            time.sleep(2.5)  # noqa: ASYNC251 - blocks the loop, and the broker in it, until the lock has expired
        return message

    await far_end.send("short", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(block_once, "short", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=2)

    assert (statistics.lock_lost, statistics.completed) == (1, 1)
    assert [result.message_id for result in await far_end.read("out", 1)] == ["x/0"]
    assert bus.stats()["out"]["suppressed"] == ["x/0"]


async def test_a_stop_finishes_work_and_gives_back_at_once_what_only_waits(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    release = asyncio.Event()

    async def work_or_wait(message: str) -> str:
        if message == "waits":
            raise QuotaAwayError
        await release.wait()
        return message

    await far_end.send("in", *(ServiceBusMessage(body, message_id=body) for body in ("works", "waits")))
    handler = AsyncServiceBusHandler(work_or_wait, "in", "out", connection_string=bus.connection_string)
    async with handler:
        await eventually(lambda: handler.statistics().waiting == 1 and handler.statistics().in_progress == 2)
        stopping = asyncio.create_task(handler.stop())
        await eventually(lambda: handler.statistics().released == 1)
        await eventually(lambda: bus.stats()["in"]["active"] == 1)  # released: nobody waits for the broker to say yes
        assert not stopping.done()
        release.set()
        await stopping

    (back,) = await far_end.read("in", 1)
    assert (back.message_id, back.delivery_count) == ("waits", 0)
    assert [result.message_id for result in await far_end.read("out", 1)] == ["works/0"]


async def test_after_the_drain_what_is_left_goes_back_uncounted(
    bus: ServiceBus, far_end: Any, eventually: Any, caplog: Any
) -> None:
    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    await far_end.send("in", *messages(2))
    handler = AsyncServiceBusHandler(hang, "in", "out", connection_string=bus.connection_string)
    async with handler:
        await eventually(lambda: handler.statistics().in_progress == 2)
        await handler.stop(drain=0.1)

    back = await far_end.read("in", 2)
    assert {(message.message_id, message.delivery_count) for message in back} == {("m-0", 0), ("m-1", 0)}
    assert handler.statistics().released == 2
    assert "giving 2 messages back" in caplog.text
