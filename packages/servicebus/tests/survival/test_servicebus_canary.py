"""A canary text goes through success, failure, dead letter and crash; it is found in the queues and nowhere else.

Workers log down to DEBUG, and asyncio in its debug mode, in which it prints the tasks and callbacks that take long.
What the SDK itself logs below WARNING is its own: it is not looked at here.
"""

from __future__ import annotations

import asyncio
import json
import random
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage

from penstock_local_azure import Queue, ServiceBus

if TYPE_CHECKING:
    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

CANARY = "canary-7f3a"
QUEUES = [
    Queue("in", lock_duration=2.5, duplicate_detection=3600.0),
    Queue("out", duplicate_detection=3600.0),
]
ERRANDS: dict[str, Any] = {
    "success": {"text": CANARY, "blocked": 0.2},
    "failure": {"text": CANARY, "failures": 1},
    "exhausted": {"text": CANARY, "failures": 1000},
    "refused": {"text": CANARY, "refused": True},
    "wrong-type": {"text": CANARY, "times": CANARY},
    "no-json": CANARY,
    "killed": {"text": CANARY, "seconds": 2.0},
    "too-large": {"text": CANARY, "times": 150_000},
}


async def seen(directory: Path, **settings: Any) -> tuple[str, list[Any], list[Any]]:
    """Let a worker do it all, kill it once meanwhile, and return what it wrote, its results and its dead letters."""
    bodies = [(name, errand if isinstance(errand, str) else json.dumps(errand)) for name, errand in ERRANDS.items()]
    async with ServiceBus([*QUEUES]) as bus:
        properties: dict[Any, Any] = {"note": CANARY}
        messages = [
            ServiceBusMessage(body, message_id=name, application_properties=properties) for name, body in bodies
        ]
        await fleets.send(bus, messages)
        fleet = fleets.Fleet(bus, directory, 1, max_retries=1, retry_delay=0.1, debug=True, **settings)
        async with fleet.at_work():
            await fleets.until(lambda: is_at_the_last(bus))
            fleet.kill_one(random.Random())
            await fleets.until(lambda: fleets.is_worked_off(bus))
            await fleet.stop()
        results, dead = await asyncio.gather(fleets.drain(bus, "out"), fleets.drain(bus, "in", dead=True))
    return fleet.written(), results, dead


def is_at_the_last(bus: ServiceBus) -> bool:
    """Whether only the slowest message is not done with."""
    counts = bus.stats()["in"]
    return (counts["active"], counts["scheduled"], counts["locked"]) == (0, 0, 1)


def told(dead: list[Any]) -> str:
    """Return what dead letters say of themselves."""
    return " ".join(f"{message.dead_letter_reason} {message.dead_letter_error_description}" for message in dead)


async def test_content_is_in_the_queues_and_nowhere_else(tmp_path: Path) -> None:
    written, results, dead = await seen(tmp_path)

    assert set(map(fleets.origin_of, results)) == {"success", "failure", "killed"}
    assert set(map(fleets.origin_of, dead)) == {"exhausted", "refused", "wrong-type", "no-json", "too-large"}
    assert all(CANARY in str(message) for message in (*results, *dead))
    assert CANARY not in told(dead)
    assert CANARY not in written
    for name in ERRANDS:  # the log was there to look at, and tells of each
        assert f"message {name}" in written
    assert "DEBUG:" in written
    assert "WARNING:asyncio:Executing <" in written


async def test_the_traceback_of_a_breakdown_quotes_no_content(tmp_path: Path) -> None:
    async with ServiceBus(QUEUES) as bus:
        body = json.dumps({"text": CANARY, "failures": 1})
        await fleets.send(bus, [ServiceBusMessage(body, message_id="m")])
        fleet = fleets.Fleet(bus, tmp_path, 1, plant="break_down")
        async with fleet.at_work():
            await fleets.until(lambda: "AssertionError: the handler broke down" in fleet.written())

    assert CANARY not in fleet.written()


@fleets.nightly
async def test_the_canary_is_found_where_an_error_is_quoted(tmp_path: Path) -> None:
    _, _, dead = await seen(tmp_path, plant="quote_the_error")

    assert CANARY in told(dead)
