"""A stop in the middle of long calls: what works may finish until the drain ends, the rest goes back."""

from __future__ import annotations

import asyncio
import json
import runpy
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage

from penstock_local_azure import Queue, ServiceBus

if TYPE_CHECKING:
    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

QUEUES = [Queue("in", duplicate_detection=3600.0), Queue("out", duplicate_detection=3600.0)]
LONG, SHORT, WAITING = ({"seconds": 30.0}, {"seconds": 1.0}, {"endpoint": "http://127.0.0.1:1/"})
DRAIN = 3.0
OVERHEAD = 10.0
"""Seconds that closing may take on a busy machine; the SDK alone takes one for each connection."""


def has_begun(fleet: Any, names: list[str]) -> bool:
    """Whether workers say that they work on these; a message is locked before it is begun."""
    written = fleet.written()
    return all(f"MessageContext(message_id='{name}'" in written for name in names)


async def stopped(directory: Path, errands: dict[str, Any], **settings: Any) -> tuple[dict[str, Any], Any, float]:
    """Stop a worker in the midst of all its work; return what is where, what it counted, and how long it took."""
    async with ServiceBus(QUEUES) as bus:
        messages = [ServiceBusMessage(json.dumps(errand), message_id=name) for name, errand in errands.items()]
        await fleets.send(bus, messages)
        fleet = fleets.Fleet(bus, directory, 1, drain=DRAIN, max_concurrency=4, **settings)
        async with fleet.at_work():
            await fleets.until(lambda: has_begun(fleet, list(errands)[:4]))
            began = time.monotonic()
            ended = await fleet.stop(within=DRAIN + 4 * OVERHEAD)
            took = time.monotonic() - began
        assert ended == [0]
        locked = bus.stats()["in"]["locked"]
        results, back = await asyncio.gather(fleets.drain(bus, "out"), fleets.drain(bus, "in"))
    assert {message.delivery_count for message in back} <= {0}
    places = {"done": set(map(fleets.origin_of, results)), "back": set(map(fleets.origin_of, back))}
    return {**places, "locked": locked}, fleet.reports()[0], took


async def test_a_stop_amid_long_calls_finishes_what_it_can_and_gives_the_rest_back(tmp_path: Path) -> None:
    errands = {"long-1": LONG, "long-2": LONG, "short": SHORT, "waiting": WAITING, "not-begun": SHORT}

    places, report, took = await stopped(tmp_path, errands)

    assert places == {"done": {"short"}, "back": {"long-1", "long-2", "waiting", "not-begun"}, "locked": 0}
    assert (report["completed"], report["released"], report["in_progress"]) == (1, 3, 0)
    assert took < DRAIN + OVERHEAD


async def test_what_only_waits_does_not_keep_a_worker(tmp_path: Path) -> None:
    places, report, took = await stopped(tmp_path, {f"waiting-{number}": WAITING for number in range(4)})

    assert places == {"done": set(), "back": {f"waiting-{number}" for number in range(4)}, "locked": 0}
    assert report["released"] == 4
    assert took < DRAIN


@fleets.nightly
async def test_the_account_finds_work_that_is_not_given_back(tmp_path: Path) -> None:
    errands = {f"long-{number}": LONG for number in range(4)}

    places, _, _ = await stopped(tmp_path, errands, plant="keep_what_waits_at_a_stop")

    assert places["locked"] == 4


async def test_a_second_signal_ends_a_worker_at_once(tmp_path: Path) -> None:
    async with ServiceBus(QUEUES) as bus:
        await fleets.send(bus, [ServiceBusMessage(json.dumps(LONG), message_id="long")])
        fleet = fleets.Fleet(bus, tmp_path, 1, drain=60.0)
        async with fleet.at_work():
            await fleets.until(lambda: has_begun(fleet, ["long"]))
            (worker,) = fleet.signal_all()
            while worker.returncode is None:  # the first takes effect at some moment
                await asyncio.wait([asyncio.ensure_future(worker.wait())], timeout=0.3)
                if worker.returncode is None:
                    worker.send_signal(signal.SIGTERM)
            assert worker.returncode == -signal.SIGTERM
        assert bus.stats()["in"]["locked"] == 1  # what was under way comes back when its lock expires
