"""A long stream of messages over links that break now and then: memory stays flat, nothing is left behind.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes).
"""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import CloseConnection, DetachLink, LoseAnswer, Queue, ServiceBus

if TYPE_CHECKING:
    from collections.abc import Callable

    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

_log = logging.getLogger(__name__)

SECONDS = 240.0 if fleets.FULL else 6.0
WARM_UP = 0.4  # of the time: until caches and allocators have what they need
GROWTH = 6.0  # MiB
MORE_OBJECTS = 0.03
PATIENCE = 4.0  # seconds until an answer that is lost is missed
CALL = 0.2  # seconds that a call on an idle queue lasts
LOOK = 5 * CALL  # seconds: what is there all the while is not part of a call
REST = 30.0  # seconds in which whatever ends by itself has ended
LINKS = 3  # one that receives, one that sends results, and one that sends copies
KEEP_ALIVE = "AMQPClientAsync._keep_alive_async"
BATCH = 20
FAULTS: list[tuple[Any, Any, str, int]] = [
    (DetachLink(), "deliver", "in", 150),
    (CloseConnection(), "settle", "in", 170),
    (LoseAnswer(), "send", "out", 70),
]
QUEUES = [Queue("in", duplicate_detection=20.0), Queue("out", duplicate_detection=20.0)]


@dataclass(frozen=True)
class Rest:
    """What an idle worker has: tasks by what they run, those of its calls apart, objects, and links."""

    tasks: Counter[str]
    objects: int
    links: int

    @property
    def is_complete(self) -> bool:
        """Whether all links were there all the while: on a busy machine one may have to be made anew."""
        return self.links == self.tasks[KEEP_ALIVE] == LINKS

    def beyond(self, before: Rest) -> dict[str, Any]:
        """Return what has been added."""
        return {"tasks": dict(self.tasks - before.tasks), "links": self.links - before.links}


NOTHING = {"tasks": {}, "links": 0}


async def soaked(directory: Path, *, seconds: float = SECONDS, **settings: Any) -> dict[str, Any]:
    """Keep a worker busy for a while; return what grew, and what was left."""
    async with ServiceBus(QUEUES) as bus:
        fleet = fleets.Fleet(bus, directory, 1, max_wait_time=CALL, patience=PATIENCE, **settings)
        async with fleet.at_work():
            await fleets.send(bus, [ServiceBusMessage(errand(number)) for number in range(BATCH)])
            await fleets.until(lambda: fleets.is_worked_off(bus))
            before = await rest_of(fleet, bus, lambda rest: rest.is_complete)
            for fault, on, entity, every in FAULTS:
                bus.faults.add(fault, on=on, entity=entity, every=every)
            async with asyncio.timeout(seconds + 600), asyncio.TaskGroup() as group:
                memory = await watch(fleet, group.create_task(stream(bus, seconds)), pause=seconds / 40)
            bus.faults.clear()
            await fleets.until(lambda: fleets.is_worked_off(bus))
            after = await rest_of(fleet, bus, lambda rest: rest.beyond(before) == NOTHING)
            assert await fleet.stop() == [0]
        left = after.beyond(before) | {"locks": bus.stats()["in"]["locked"], "links after the end": links_of(bus)}
        _log.info("%d messages, %d faults", bus.stats()["in"]["completed"], bus.faults.fired.total())
        _log.info("MiB: %s", memory)
    _log.info("%s, then %s", before, after)
    return {**left, "memory": growth(memory), "objects": after.objects / before.objects - 1}


async def stream(bus: ServiceBus, seconds: float) -> None:
    """Send batches, each as soon as the last is nearly worked off, and take the results away; see every fault."""
    deadline = time.monotonic() + seconds
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client,
        client.get_queue_sender("in") as sender,
        client.get_queue_receiver("out", receive_mode="receiveanddelete", socket_timeout=0.02) as receiver,
    ):
        while time.monotonic() < deadline or len(bus.faults.fired) < len(FAULTS):
            if bus.stats()["in"]["active"] < BATCH:
                await sender.send_messages([ServiceBusMessage(errand(number)) for number in range(BATCH)])
            await receiver.receive_messages(max_message_count=100, max_wait_time=0.05)


def errand(number: int) -> str:
    """Return what one message asks for: one in twenty fails once."""
    return json.dumps({"text": "x" * 2_000, "failures": int(number == 0)})


async def watch(fleet: Any, streaming: asyncio.Task[None], pause: float) -> list[float]:
    """Look at the worker's memory now and then, until the stream ends."""
    seen = []
    while not streaming.done():
        seen.append(await fleet.memory())
        await asyncio.wait([streaming], timeout=pause)
    return seen


async def rest_of(fleet: Any, bus: ServiceBus, wanted: Callable[[Rest], bool]) -> Rest:
    """Return what an idle worker has once it is as wanted, or, if it never is, what it has in the end."""
    deadline = time.monotonic() + REST
    while not wanted(rest := await look(fleet, bus)) and time.monotonic() < deadline:
        pass
    return rest


async def look(fleet: Any, bus: ServiceBus) -> Rest:
    """Return what an idle worker has, by a look that is longer than its calls, which have tasks, too."""
    end, stocks = time.monotonic() + LOOK, [await fleet.stock()]
    while time.monotonic() < end:
        await asyncio.sleep(CALL / 2)
        stocks.append(await fleet.stock())
    tasks = set.intersection(*(set(stock["tasks"].items()) for stock in stocks))
    return Rest(Counter(runs for _, runs in tasks), min(stock["objects"] for stock in stocks), links_of(bus))


def growth(memory: list[float]) -> float:
    """Return by how many MiB it grew once it was warm."""
    warm = memory[int(len(memory) * WARM_UP) :]
    third = max(len(warm) // 3, 1)
    return median(warm[-third:]) - median(warm[:third])


def links_of(bus: ServiceBus) -> int:
    """Ask the stand-in how many senders and receivers there are: each has a connection of its own."""
    return len(bus._connections)


async def test_memory_stays_flat_and_nothing_is_left_behind(tmp_path: Path) -> None:
    left = await soaked(tmp_path)

    assert left.pop("memory") < GROWTH
    assert left.pop("objects") < MORE_OBJECTS
    assert left == NOTHING | {"locks": 0, "links after the end": 0}


@fleets.nightly
async def test_the_soak_finds_messages_that_are_kept(tmp_path: Path) -> None:
    assert (await soaked(tmp_path, seconds=30.0, plant="keep_all_messages"))["memory"] > GROWTH


@fleets.nightly
async def test_the_soak_finds_links_that_are_left_behind(tmp_path: Path) -> None:
    left = await soaked(tmp_path, seconds=8.0, plant="leave_links_behind")

    assert left["links"] > 0
    assert left["tasks"] == {KEEP_ALIVE: left["links"]}
