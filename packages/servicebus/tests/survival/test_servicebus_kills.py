"""kill -9 of workers at random, and every fault of the script meanwhile: each message is answered or set aside, once.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 5,000 messages).
"""

from __future__ import annotations

import json
import logging
import random
import runpy
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage

from penstock_local_azure import (
    CloseConnection,
    DeliverAgain,
    DetachLink,
    LoseAnswer,
    Queue,
    Refuse,
    ServiceBus,
    SlowAnswer,
    StallConnection,
)

if TYPE_CHECKING:
    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

_log = logging.getLogger(__name__)

TOTAL, WORKERS, KILLS = (5_000, 4, 40) if fleets.FULL else (150, 3, 3)
QUEUES = [
    Queue("in", lock_duration=5.0 if fleets.FULL else 3.0, duplicate_detection=3600.0, max_delivery_count=100),
    Queue("out", duplicate_detection=3600.0),
]
BUSY, FORCED, LOST = "com.microsoft:server-busy", "amqp:link:detach-forced", "com.microsoft:message-lock-lost"
MAX_RETRIES = 3

EVERY_FAULT: list[tuple[Any, Any]] = [
    *((LoseAnswer(), on) for on in ("send", "settle", "renew", "attach", "put-token")),
    *((Refuse(BUSY), on) for on in ("send", "settle", "renew", "attach")),
    (Refuse(LOST, status=410), "settle"),
    (Refuse(LOST, status=410), "renew"),
    (Refuse("amqp:unauthorized-access", status=401), "put-token"),
    *((DetachLink(FORCED), on) for on in ("send", "settle", "deliver", "renew")),
    *((DetachLink(done=False), on) for on in ("send", "settle")),
    *((CloseConnection(done=done), on) for on in ("send", "settle", "deliver") for done in (True, False)),
    *((CloseConnection("amqp:connection:forced"), on) for on in ("send", "settle", "deliver", "attach")),
    *((StallConnection(done=done), on) for on in ("send", "settle") for done in (True, False)),
    *((StallConnection(), on) for on in ("deliver", "renew", "attach")),
    *((SlowAnswer(0.7), on) for on in ("send", "settle", "deliver", "renew", "attach")),
    (DeliverAgain(), "settle"),
]
if not fleets.FULL:  # one of each kind with each operation
    EVERY_FAULT = list({(type(fault), on): (fault, on) for fault, on in EVERY_FAULT}.values())
RARE = ("renew", "attach", "put-token")
"""What a quick run does some ten times; of all else it does more than a hundred."""


def errands(total: int, chance: random.Random) -> tuple[list[ServiceBusMessage], Any]:
    """Return messages of all kinds, and what must become of each."""
    messages, expected = [], {}
    for number in range(total):
        message_id = f"m-{number}"
        errand: dict[str, Any] = {"seconds": chance.uniform(0.0, 0.05)}
        match number % 25:
            case 0:
                expected[message_id] = fleets.Expected(reason="UndecodableMessage")
                errand = {"seconds": "many"}
            case 1:
                expected[message_id] = fleets.Expected(reason="RefusedError")
                errand["refused"] = True
            case 2:
                expected[message_id] = fleets.Expected(MAX_RETRIES, reason="RetriesExhausted")
                errand["failures"] = 1_000
            case 3 | 4 | 5 as failures:
                expected[message_id] = fleets.Expected(failures - 2)
                errand["failures"] = failures - 2
            case 6:
                expected[message_id] = fleets.Expected()
                errand["seconds"] = 6.0 if fleets.FULL else 4.0  # longer than a lock lasts
            case _:
                expected[message_id] = fleets.Expected()
        messages.append(ServiceBusMessage(json.dumps(errand), message_id=message_id))
    return messages, expected


def let_everything_go_wrong(bus: ServiceBus, chance: random.Random) -> None:
    """Have each fault happen: once in a quick run, again and again in a full one."""
    for on in sorted({on for _, on in EVERY_FAULT}):
        faults = [fault for fault, its in EVERY_FAULT if its == on]
        strikes = chance.sample(range(1, len(faults) + (3 if on in RARE else 40)), len(faults))
        for fault, strike in zip(faults, strikes, strict=True):
            bus.faults.add(fault, on=on, nth=strike)
            if fleets.FULL:
                bus.faults.add(fault, on=on, chance=0.02 if on in RARE else 0.001, seed=strike)


async def test_each_message_is_answered_or_set_aside_once_whatever_goes_wrong(tmp_path: Path) -> None:
    chance = random.Random(4)
    messages, expected = errands(TOTAL, chance)
    async with ServiceBus(QUEUES) as bus:
        await fleets.send(bus, messages)
        let_everything_go_wrong(bus, chance)
        fleet = fleets.Fleet(bus, tmp_path, WORKERS, max_retries=MAX_RETRIES, patience=2.0 if fleets.FULL else 1.2)
        async with fleet.at_work():
            for kill in range(1, KILLS + 1):
                await fleets.until(partial(fleets.has_results, bus, TOTAL * 0.7 * kill / (KILLS + 1)), within=1800)
                fleet.kill_one(chance)
            await fleets.until(lambda: fleets.is_worked_off(bus), within=1800)
            bus.faults.clear()
            ended = await fleet.stop()
        doubles = len(bus.stats()["out"]["suppressed"]) + len(bus.stats()["in"]["suppressed"])
        judgement = await fleets.judge(bus, expected)

    _log.info("%d workers started, %d killed; %d doubles removed", fleet.started, fleet.kills, doubles)
    _log.info("%d faults: %s", bus.faults.fired.total(), bus.faults.fired)
    assert judgement.is_clean, judgement
    assert fleet.kills == KILLS
    assert set(ended) <= {0, -signal.SIGTERM}  # which ends one that has just been started again
    assert {(type(fault).__name__, on) for fault, on in EVERY_FAULT} == {fired[:2] for fired in bus.faults.fired}


async def test_results_that_are_refused_keep_their_messages_through_a_kill(tmp_path: Path) -> None:
    assert (await judged_after_a_kill_while_results_are_refused(tmp_path)).is_clean


async def test_the_judge_finds_what_is_completed_before_its_result_is_sent(tmp_path: Path) -> None:
    judgement = await judged_after_a_kill_while_results_are_refused(
        tmp_path, plant="complete_before_the_result_is_sent"
    )

    assert judgement.lost


async def judged_after_a_kill_while_results_are_refused(directory: Path, **settings: Any) -> Any:
    """Refuse all results, kill the worker, and then let the next one do its work."""
    expected = {f"m-{number}": fleets.Expected() for number in range(20)}
    async with ServiceBus(QUEUES) as bus:
        await fleets.send(bus, [ServiceBusMessage("{}", message_id=message_id) for message_id in expected])
        bus.faults.add(Refuse(BUSY), on="send", entity="out")
        fleet = fleets.Fleet(bus, directory, 1, **settings)
        async with fleet.at_work():
            await fleets.until(lambda: sum(bus.faults.fired.values()) >= 2)
            fleet.kill_one(random.Random())
            bus.faults.clear()
            await fleets.until(lambda: fleets.is_worked_off(bus))
            await fleet.stop()
        return await fleets.judge(bus, expected)


@fleets.nightly
async def test_the_judge_finds_settlements_that_are_forgotten(tmp_path: Path) -> None:
    queues = [Queue("in", lock_duration=1.5, max_delivery_count=2), Queue("out", duplicate_detection=3600.0)]
    async with ServiceBus(queues) as bus:
        await fleets.send(bus, [ServiceBusMessage("{}", message_id="m")])
        fleet = fleets.Fleet(bus, tmp_path, 1, plant="forget_to_settle")
        async with fleet.at_work():
            await fleets.until(lambda: fleets.is_worked_off(bus))
        judgement = await fleets.judge(bus, {"m": fleets.Expected()})

    assert judgement.doubled == {"m"}
    assert judgement.unexplained == {"m": "MaxDeliveryCountExceeded, not None"}
