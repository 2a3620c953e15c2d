"""Attempts: none is lost to duplicate detection, and none is spent on an endpoint that is down.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 1,000 failures).
"""

from __future__ import annotations

import json
import runpy
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiohttp import web
from azure.servicebus import ServiceBusMessage

from penstock_local_azure import Queue, ServiceBus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

FAILURES = 1_000 if fleets.FULL else 90
FAILING = {f"m-{number}": 1 + number % 2 for number in range(FAILURES * 2 // 3)}
"""How often which message fails, in sum `FAILURES` times."""
QUEUES = [Queue("in", duplicate_detection=3600.0), Queue("out", duplicate_detection=3600.0)]
WORKERS, AT_ONCE, TOTAL = 2, 5, 40
OUTAGE = 20  # attempts that are made meanwhile: the breakers open at the tenth, and then there are only probes


# --- attempts that fail


async def test_no_transient_failure_loses_its_message_to_duplicate_detection(tmp_path: Path) -> None:
    assert (await judged_after_transient_failures(tmp_path)).is_clean


@fleets.nightly
async def test_the_judge_finds_copies_that_repeat_the_id_of_their_original(tmp_path: Path) -> None:
    judgement = await judged_after_transient_failures(tmp_path, plant="repeat_the_id_of_the_original")

    assert judgement.lost == set(FAILING)


async def judged_after_transient_failures(directory: Path, **settings: Any) -> Any:
    """Have some messages fail once, some twice, and some not at all."""
    failures = FAILING | {f"n-{number}": 0 for number in range(len(FAILING) // 2)}
    messages = [
        ServiceBusMessage(json.dumps({"failures": times}), message_id=message_id)
        for message_id, times in failures.items()
    ]
    async with ServiceBus(QUEUES) as bus:
        await fleets.send(bus, messages)
        fleet = fleets.Fleet(bus, directory, 2, retry_delay=0.2, **settings)
        async with fleet.at_work():
            await fleets.until(lambda: fleets.is_worked_off(bus), within=600)
            await fleet.stop()
        return await fleets.judge(bus, {origin: fleets.Expected(times) for origin, times in failures.items()})


# --- an endpoint that is down


class Endpoint:
    """What the processor asks; while it is down, connections to it are cut and counted."""

    def __init__(self) -> None:
        self.is_down = True
        self.asked_in_vain = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        if self.is_down and request.transport is not None:
            self.asked_in_vain += 1
            request.transport.abort()
        return web.Response()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            yield
        finally:
            await runner.cleanup()


async def test_an_outage_spends_no_attempt_and_work_resumes_by_itself(tmp_path: Path) -> None:
    judgement, fleet = await judged_after_an_outage(tmp_path)

    reports = fleet.reports()
    assert judgement.is_clean
    assert len(reports) == WORKERS
    assert sum(report["environment_failures"] for report in reports) >= OUTAGE
    assert all((report["retried"], report["dead_lettered"]) == (0, {}) for report in reports)
    assert not any(report["breaker"]["open"] for report in reports)
    assert sum(report["received"] for report in reports) == TOTAL


@fleets.nightly
async def test_the_judge_finds_messages_blamed_for_their_environment(tmp_path: Path) -> None:
    judgement, _ = await judged_after_an_outage(tmp_path, plant="blame_the_message_for_its_environment")

    assert judgement.miscounted


async def judged_after_an_outage(directory: Path, **settings: Any) -> tuple[Any, Any]:
    """Have the endpoint down until it was asked in vain so often, and see that the breakers keep the intake shut."""
    endpoint = Endpoint()
    async with endpoint.listening(), ServiceBus(QUEUES) as bus:
        body = json.dumps({"endpoint": endpoint.url})
        messages = [ServiceBusMessage(body, message_id=f"m-{number}") for number in range(TOTAL)]
        await fleets.send(bus, messages)
        fleet = fleets.Fleet(bus, directory, WORKERS, retry_delay=0.05, max_concurrency=AT_ONCE, **settings)
        async with fleet.at_work():
            await fleets.until(lambda: endpoint.asked_in_vain >= OUTAGE)
            if not settings:
                assert bus.stats()["in"]["active"] == TOTAL - WORKERS * AT_ONCE
            endpoint.is_down = False
            await fleets.until(lambda: fleets.is_worked_off(bus))
            await fleet.stop()
        judgement = await fleets.judge(bus, {f"m-{number}": fleets.Expected() for number in range(TOTAL)})
    return judgement, fleet
