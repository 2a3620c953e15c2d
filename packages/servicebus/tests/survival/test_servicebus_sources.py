"""Subscriptions and sessions: kill -9 of workers and cut links, and what each of them promises beyond a plain queue.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes).
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import runpy
from collections import defaultdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage

from penstock_local_azure import (
    CloseConnection,
    DetachLink,
    LoseAnswer,
    Queue,
    Refuse,
    ServiceBus,
    StallConnection,
    Subscription,
    Topic,
)

if TYPE_CHECKING:
    import worker_fleet as fleets
else:
    fleets = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("worker_fleet.py"))))

_log = logging.getLogger(__name__)

WORKERS, KILLS = (4, 20) if fleets.FULL else (2, 1)
LOCK: dict[str, Any] = {"lock_duration": 5.0 if fleets.FULL else 3.0, "max_delivery_count": 100}
PATIENCE = 2.0 if fleets.FULL else 1.2
RESULTS = 0.8  # of all messages: `errand_of`
LOST = "com.microsoft:message-lock-lost"
CUTS: dict[Any, tuple[int, list[Any]]] = {
    "deliver": (40, [CloseConnection(done=False), DetachLink("amqp:link:detach-forced")]),
    "settle": (40, [CloseConnection(), DetachLink(done=False), StallConnection(), Refuse(LOST, status=410)]),
    "send": (5, [LoseAnswer()]),
}
"""What goes wrong with what, before how many of these; there may be few sends, as results are sent together."""


def cut_links(bus: ServiceBus, source: str, chance: random.Random) -> None:
    """Have everything go wrong with a source once in a quick run, again and again in a full one."""
    for on, (soon, faults) in CUTS.items():
        entity = "out" if on == "send" else source
        for fault, strike in zip(faults, chance.sample(range(1, soon), len(faults)), strict=True):
            bus.faults.add(fault, on=on, entity=entity, nth=strike)
            if fleets.FULL:
                bus.faults.add(fault, on=on, entity=entity, chance=0.002, seed=strike)


async def survived(bus: ServiceBus, directory: Path, source: str, total: int, **settings: Any) -> None:
    """Work off a source while workers are killed and links cut."""
    chance = random.Random(8)
    cut_links(bus, source, chance)
    fleet = fleets.Fleet(bus, directory, WORKERS, patience=PATIENCE, retry_delay=0.1, **settings)
    async with fleet.at_work():
        for kill in range(1, KILLS + 1):
            await fleets.until(partial(fleets.has_results, bus, total * RESULTS * kill / (KILLS + 1)), within=1800)
            fleet.kill_one(chance)
        await fleets.until(lambda: fleets.is_worked_off(bus, source), within=1800)
        bus.faults.clear()
        await fleet.stop()
    _log.info("%d workers started, %d faults: %s", fleet.started, bus.faults.fired.total(), bus.faults.fired)
    assert fleet.kills == KILLS
    wanted = {(type(fault).__name__, on) for on, (_, faults) in CUTS.items() for fault in faults}
    assert wanted == {fired[:2] for fired in bus.faults.fired}


def errand_of(number: int) -> tuple[str, Any]:
    """Return what a message asks for, and what must become of it."""
    match number % 10:
        case 2:
            return json.dumps({"failures": 1}), fleets.Expected()  # there, attempts are deliveries
        case 5:
            return json.dumps({"failures": 1000}), fleets.Expected(reason="RetriesExhausted")
        case 7:
            return json.dumps({"refused": True}), fleets.Expected(reason="RefusedError")
        case _:
            return json.dumps({"seconds": 0.01 * (number % 6)}), fleets.Expected()


# --- a subscription

MAIL, PRINT = "in/Subscriptions/mail", "in/Subscriptions/print"
TOTAL = 3_000 if fleets.FULL else 60


async def test_a_subscription_answers_or_sets_aside_each_message_once_and_leaves_the_others_alone(
    tmp_path: Path,
) -> None:
    judgement, others = await judged_on_a_subscription(tmp_path)

    assert judgement.is_clean, judgement
    assert sorted(others) == sorted(f"m-{number}" for number in range(TOTAL))


@fleets.nightly
async def test_the_judge_finds_copies_that_reach_other_subscriptions(tmp_path: Path) -> None:
    _, others = await judged_on_a_subscription(tmp_path, plant="send_copies_wherever_messages_come_from")

    assert len(others) > TOTAL


async def judged_on_a_subscription(directory: Path, **settings: Any) -> tuple[Any, list[str]]:
    """Work off one of two subscriptions; return what is wrong with it, and the origin ids in the other one."""
    errands = {f"m-{number}": errand_of(number) for number in range(TOTAL)}
    topic = Topic("in", [Subscription("mail", **LOCK), "print"], duplicate_detection=3600.0)
    async with ServiceBus([topic, Queue("out", duplicate_detection=3600.0)]) as bus:
        await fleets.send(bus, [ServiceBusMessage(body, message_id=name) for name, (body, _) in errands.items()])
        await survived(bus, directory, MAIL, TOTAL, in_subscription="mail", **settings)
        judgement, others = await asyncio.gather(
            fleets.judge(bus, {name: expected for name, (_, expected) in errands.items()}, MAIL),
            fleets.drain(bus, PRINT),
        )
    return judgement, [fleets.origin_of(message) for message in others]


# --- sessions

SESSIONS, EACH = (60, 50) if fleets.FULL else (6, 10)


async def test_the_results_of_each_session_come_once_and_in_the_order_it_was_sent(tmp_path: Path) -> None:
    sent, results, dead = await worked_off_in_sessions(tmp_path)

    assert results == {session: [name for name in names if name not in dead] for session, names in sent.items()}
    assert dead == {name: reason for names in sent.values() for name, reason in names.items() if reason}


@fleets.nightly
async def test_the_order_shows_when_a_failed_message_lets_the_next_one_pass(tmp_path: Path) -> None:
    sent, results, dead = await worked_off_in_sessions(tmp_path, plant="send_copies_wherever_messages_come_from")

    assert {session: set(names) for session, names in results.items()} == {
        session: set(names) - set(dead) for session, names in sent.items()
    }
    assert results != {session: [name for name in names if name not in dead] for session, names in sent.items()}


async def worked_off_in_sessions(directory: Path, **settings: Any) -> tuple[Any, dict[str, list[str]], dict[str, str]]:
    """Return what was sent to each session, and why it is to be set aside; the results of each; what was set aside."""
    sent: dict[str, dict[str, str | None]] = defaultdict(dict)
    messages = []
    for number in range(EACH):
        for session in (f"s{session}" for session in range(SESSIONS)):
            (body, expected), name = errand_of(number), f"{session}-{number}"
            messages.append(ServiceBusMessage(body, message_id=name, session_id=session))
            sent[session][name] = expected.reason
    queue = Queue("in", requires_session=True, duplicate_detection=3600.0, **LOCK)
    async with ServiceBus([queue, Queue("out", duplicate_detection=3600.0)]) as bus:
        await fleets.send(bus, messages)
        await survived(bus, directory, "in", len(messages), sessions=True, **settings)
        results, dead = await asyncio.gather(fleets.drain(bus, "out"), fleets.drain(bus, "in", dead=True))
    by_session: dict[str, list[str]] = defaultdict(list)
    for result in sorted(results, key=lambda result: int(result.sequence_number or 0)):
        by_session[str(result.session_id)].append(fleets.origin_of(result))
    return sent, by_session, {fleets.origin_of(message): str(message.dead_letter_reason) for message in dead}
