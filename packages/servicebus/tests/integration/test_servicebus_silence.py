"""Connections that stay open and say nothing more: each ends with a new one, and no message is lost or doubled."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from penstock_local_azure import LoseAnswer, Queue, ServiceBus, StallConnection
from penstock_servicebus import AsyncServiceBusHandler, _calls, _link, _outbox, _reception

# When a connection is given up, the SDK leaves some of its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calls, "CALL_WITHIN", 1.5)
    monkeypatch.setattr(_link, "_OPEN_WITHIN", 3.0)
    monkeypatch.setattr(_link, "_CLOSE_WITHIN", 1.0)
    monkeypatch.setattr(_outbox, "_SLOW_SEND", 0.0)
    monkeypatch.setattr(_reception, "_SILENCE", 1.5)


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBus]:
    queues = [Queue("in", lock_duration=5.0, duplicate_detection=600.0), Queue("out", duplicate_detection=600.0)]
    async with ServiceBus(queues) as service_bus:
        yield service_bus


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()  # the sockets that the SDK has left: here is where that is forgiven


async def answer(message: str) -> str:
    return message.upper()


def handler_of(bus: ServiceBus) -> AsyncServiceBusHandler:
    return AsyncServiceBusHandler(answer, "in", "out", connection_string=bus.connection_string, max_wait_time=0.5)


async def answered(bus: ServiceBus, far_end: Any, eventually: Any, count: int) -> set[str]:
    """Work until so many messages are answered; return the ids of the results."""
    async with handler_of(bus):
        await eventually(lambda: bus.stats()["in"]["completed"] == count)
    return {found.message_id for found in await far_end.read("out", count)}


async def test_a_connection_that_stalls_while_the_queue_is_idle_is_noticed(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    bus.faults.add(StallConnection(done=False), on="deliver", entity="in", nth=1)
    await far_end.send("in", message("a"), message("b"))

    assert await answered(bus, far_end, eventually, 2) == {"a/0", "b/0"}


async def test_of_a_link_whose_farewell_is_cut_short_nothing_goes_on(
    bus: ServiceBus, far_end: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_link, "_CLOSE_WITHIN", 0.01)  # the SDK takes longer to have given back what is on its way
    bus.faults.add(StallConnection(done=False), on="deliver", entity="in", nth=1)
    await far_end.send("in", message("a"))

    async with handler_of(bus):
        await eventually(lambda: bus.stats()["in"]["completed"] == 1)
        await eventually(lambda: keep_alives() == len(bus._connections))


def keep_alives() -> int:
    """Count the SDK's tasks that run beside our calls, one for each of its connections."""
    return sum("_keep_alive_async" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_a_settlement_that_is_never_answered_holds_nothing_up(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    bus.faults.add(LoseAnswer(), on="settle", entity="in", nth=1)
    await far_end.send("in", message("a"), message("b"))

    assert await answered(bus, far_end, eventually, 2) == {"a/0", "b/0"}


async def test_a_result_that_is_never_acknowledged_is_sent_again_and_kept_once(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    bus.faults.add(LoseAnswer(), on="send", entity="out", nth=1)
    await far_end.send("in", message("a"))

    assert await answered(bus, far_end, eventually, 1) == {"a/0"}
    assert bus.stats()["out"]["suppressed"] == ["a/0"]


async def test_a_link_that_is_never_attached_is_attached_again(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    await far_end.send("in", message("a"))
    bus.faults.add(StallConnection(done=False), on="deliver", entity="in", nth=1)
    bus.faults.add(LoseAnswer(), on="attach", entity="in", nth=2)

    assert await answered(bus, far_end, eventually, 1) == {"a/0"}
    assert bus.faults.fired["LoseAnswer", "attach", "in"] == 1


def message(body: str) -> ServiceBusMessage:
    return ServiceBusMessage(body, message_id=body)
