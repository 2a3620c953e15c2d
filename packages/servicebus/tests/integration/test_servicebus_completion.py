"""Messages that are done together are completed together; a fault with one of them is that one's alone."""

import asyncio
import time
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from penstock_local_azure import LoseAnswer, Refuse, ServiceBus, SlowAnswer
from penstock_servicebus import AsyncServiceBusHandler, HandlerStatistics, _calls

# When a connection is given up, the SDK leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TOGETHER = 16
ANSWERS_TAKE = 2.0  # seconds
IDS = {f"m-{index}" for index in range(TOGETHER)}


async def finish_together(bus: ServiceBus, far_end: Any) -> HandlerStatistics:
    """Let the work on all messages end at the same moment."""
    everybody = asyncio.Barrier(TOGETHER)

    async def meet(message: str) -> str:
        await everybody.wait()
        return message

    await far_end.send("in", *(ServiceBusMessage(one, message_id=one) for one in IDS))
    handler = AsyncServiceBusHandler(
        meet, "in", "out", connection_string=bus.connection_string, max_concurrency=TOGETHER
    )
    return await handler.run(until_empty=1.0)


async def answered(far_end: Any) -> list[str]:
    return sorted(str(result.properties["penstock-origin-id"]) for result in await far_end.read("out", TOGETHER))


async def test_their_answers_are_waited_for_together(bus: ServiceBus, far_end: Any) -> None:
    bus.faults.add(SlowAnswer(ANSWERS_TAKE), on="settle", entity="in")

    began = time.monotonic()
    statistics = await finish_together(bus, far_end)

    assert statistics.completed == TOGETHER
    assert time.monotonic() - began < TOGETHER * ANSWERS_TAKE  # one after the other they would take longer than that


async def test_one_that_is_refused_is_asked_for_again_by_itself(bus: ServiceBus, far_end: Any) -> None:
    bus.faults.add(Refuse("com.microsoft:server-busy"), on="settle", entity="in", nth=5)

    statistics = await finish_together(bus, far_end)

    assert bus.faults.fired["Refuse", "settle", "in"] == 1
    assert (statistics.received, statistics.completed, statistics.lock_lost) == (TOGETHER, TOGETHER, 0)
    assert bus.stats()["in"]["completed"] == TOGETHER
    assert await answered(far_end) == sorted(IDS)


async def test_one_that_is_never_answered_does_not_make_the_others_unsure(
    bus: ServiceBus, far_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_calls, "CALL_WITHIN", 1.0)
    bus.faults.add(LoseAnswer(), on="settle", entity="in", nth=5)

    statistics = await finish_together(bus, far_end)

    assert bus.faults.fired["LoseAnswer", "settle", "in"] == 1
    assert (statistics.received, statistics.completed, statistics.lock_lost) == (TOGETHER, TOGETHER - 1, 1)
    assert bus.stats()["in"]["completed"] == TOGETHER
    assert await answered(far_end) == sorted(IDS)
