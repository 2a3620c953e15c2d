"""The account of messages: set operations over the ids that were sent and the ids found at the far ends."""

import json
from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from feedback_worker._clients import enqueued_origin_ms, open_peeker, origin_of


@dataclass
class FarEnds:
    """What lies where after a run."""

    results: list[ServiceBusReceivedMessage] = field(default_factory=list)
    dead: list[ServiceBusReceivedMessage] = field(default_factory=list)
    waiting: list[ServiceBusReceivedMessage] = field(default_factory=list)


async def read_far_ends(client: ServiceBusClient, in_queue: str, out_queue: str) -> FarEnds:
    """Read the out-queue, the dead letters and what still waits, and leave all of it in place."""
    found = FarEnds()
    for queue, dead_letters, messages in (
        (out_queue, False, found.results),
        (in_queue, True, found.dead),
        (in_queue, False, found.waiting),
    ):
        async with open_peeker(client, queue, dead_letters=dead_letters) as peeker:
            messages.extend([message async for message in peeker.new()])
    return found


def message_facts(sent: set[str], found: FarEnds, suppressed: set[str]) -> dict[str, Any]:
    """Say where every message went.

    Args:
        sent: The ids written down before sending.
        found: What lies at the far ends; messages of other runs are ignored.
        suppressed: Ids of the doubles that the broker removed, by its own account.
    """
    answers = Counter(origin for origin in map(origin_of, found.results) if origin in sent)
    reasons = {origin_of(message): message.dead_letter_reason or "none given" for message in found.dead}
    dead = {origin: reason for origin, reason in reasons.items() if origin in sent}
    ends = answers + Counter(origin for origin in map(origin_of, found.dead) if origin in sent)
    remaining = {origin_of(message) for message in found.waiting} & sent - ends.keys()
    return {
        "in": len(sent),
        "answered": len(answers),
        "dead_lettered": len(dead),
        "duplicates": sum(times > 1 for times in ends.values()),
        "suppressed": len(suppressed),
        "lost": len(sent - ends.keys() - remaining),
        "remaining": len(remaining),
        "dead_letter_reasons": dict(Counter(dead.values())),
    }


def latency_facts(sent: set[str], found: FarEnds) -> dict[str, float]:
    """Say how long messages took, from first enqueued to result enqueued, in ms; empty without an answer."""
    taken: dict[str, float] = {}
    for message in found.results:
        origin, enqueued = origin_of(message), enqueued_origin_ms(message)
        if origin in sent and enqueued is not None and message.enqueued_time_utc is not None:
            taken.setdefault(origin, message.enqueued_time_utc.timestamp() * 1000 - enqueued)
    if not taken:
        return {"p50": 0.0, "p99": 0.0}
    cuts = quantiles([*taken.values(), *taken.values()], n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}


def sample_answer(sent: set[str], found: FarEnds) -> dict[str, Any] | None:
    """Choose one answer to show in full to the person at the terminal."""
    for message in found.results:
        if origin_of(message) in sent:
            return {"id": origin_of(message), "answer": json.loads(b"".join(message.body))}
    return None
