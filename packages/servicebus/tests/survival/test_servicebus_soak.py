"""A long stream of messages over links that break now and then: memory stays flat, nothing is left behind.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes).
"""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import CloseConnection, DetachLink, LoseAnswer, Queue, ServiceBus

if TYPE_CHECKING:
    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

_log = logging.getLogger(__name__)

SECONDS = 240.0 if fleets.FULL else 6.0
WARM_UP = 0.4  # of the time: until caches and allocators have what they need
GROWTH = 6.0  # MiB
MORE_OBJECTS = 0.03
REST = 15.0  # seconds
BATCH = 20
QUEUES = [Queue("in", duplicate_detection=20.0), Queue("out", duplicate_detection=20.0)]


async def soaked(directory: Path, *, seconds: float = SECONDS, **settings: Any) -> dict[str, Any]:
    """Keep a worker busy for a while; return what grew, and what was left."""
    async with ServiceBus(QUEUES) as bus:
        fleet = fleets.Fleet(bus, directory, 1, **settings)
        async with fleet.at_work():
            await fleets.send(bus, [ServiceBusMessage(errand(number)) for number in range(BATCH)])
            await fleets.until(lambda: fleets.is_worked_off(bus))
            before, links = await at_rest(fleet), links_of(bus)
            bus.faults.add(DetachLink(), on="deliver", entity="in", every=150)
            bus.faults.add(CloseConnection(), on="settle", entity="in", every=170)
            bus.faults.add(LoseAnswer(), on="send", entity="out", every=70)
            memory = await asyncio.gather(stream(bus, seconds=seconds), watch(fleet, seconds=seconds))
            bus.faults.clear()
            await fleets.until(lambda: fleets.is_worked_off(bus))
            after = await at_rest(fleet, tasks=before["tasks"])
            left = {"tasks": after["tasks"] - before["tasks"], "links": links_of(bus) - links}
            assert await fleet.stop() == [0]
        left |= {"locks": bus.stats()["in"]["locked"], "links after the end": links_of(bus)}
        _log.info("%d messages, %d faults", bus.stats()["in"]["completed"], bus.faults.fired.total())
        _log.info("MiB: %s", memory[1])
        assert bus.faults.fired
    _log.info("%s, then %s", before, after)
    return {**left, "memory": growth(memory[1]), "objects": after["objects"] / before["objects"] - 1}


async def stream(bus: ServiceBus, seconds: float) -> None:
    """Send batches, each as soon as the last is nearly worked off, and take the results away."""
    deadline = time.monotonic() + seconds
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client,
        client.get_queue_sender("in") as sender,
        client.get_queue_receiver("out", receive_mode="receiveanddelete", socket_timeout=0.02) as receiver,
    ):
        while time.monotonic() < deadline:
            if bus.stats()["in"]["active"] < BATCH:
                await sender.send_messages([ServiceBusMessage(errand(number)) for number in range(BATCH)])
            await receiver.receive_messages(max_message_count=100, max_wait_time=0.05)


def errand(number: int) -> str:
    """Return what one message asks for: one in twenty fails once."""
    return json.dumps({"text": "x" * 2_000, "failures": int(number == 0)})


async def watch(fleet: Any, seconds: float) -> list[float]:
    """Look at the worker's memory now and then."""
    deadline, seen = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        seen.append(await fleet.memory())
        await asyncio.sleep(seconds / 40)
    return seen


async def at_rest(fleet: Any, *, tasks: int | None = None) -> dict[str, int]:
    """Return what a worker has when it has least: calls that are going on have tasks, too.

    It has a while to come down to so many tasks: the SDK's links take seconds to end.
    """
    deadline, stocks = time.monotonic() + REST, [await fleet.stock()]
    while len(stocks) < 8 or (tasks is not None and stocks[-1]["tasks"] > tasks and time.monotonic() < deadline):
        await asyncio.sleep(0.1)
        stocks.append(await fleet.stock())
    return {key: min(stock[key] for stock in stocks) for key in stocks[0]}


def growth(memory: list[float]) -> float:
    """Return by how many MiB it grew once it was warm."""
    warm = memory[int(len(memory) * WARM_UP) :]
    third = len(warm) // 3
    return median(warm[-third:]) - median(warm[:third])


def links_of(bus: ServiceBus) -> int:
    """Ask the stand-in how many senders and receivers there are: each has a connection of its own."""
    return len(bus._connections)


async def test_memory_stays_flat_and_nothing_is_left_behind(tmp_path: Path) -> None:
    left = await soaked(tmp_path)

    assert left.pop("memory") < GROWTH
    assert left.pop("objects") < MORE_OBJECTS
    assert left == {"tasks": 0, "links": 0, "locks": 0, "links after the end": 0}


@fleets.nightly
async def test_the_soak_finds_messages_that_are_kept(tmp_path: Path) -> None:
    assert (await soaked(tmp_path, seconds=8.0, plant="keep_all_messages"))["memory"] > GROWTH


@fleets.nightly
async def test_the_soak_finds_links_that_are_left_behind(tmp_path: Path) -> None:
    assert (await soaked(tmp_path, seconds=8.0, plant="leave_links_behind"))["links"] > 0
