"""A message between receipt and settlement, and the line that is logged when it leaves."""

import asyncio
import logging
from dataclasses import dataclass, field

from azure.servicebus import ServiceBusReceivedMessage

from penstock_servicebus._context import MessageContext
from penstock_servicebus._identity import Identity
from penstock_servicebus._verdict import Verdict

_logger = logging.getLogger("penstock_servicebus")


@dataclass(slots=True, eq=False)
class Held:
    """One message in our keeping.

    Attributes:
        message: As the SDK handed it out.
        identity: Who it is.
        context: What its processor may know.
        queue_age: Seconds it lay in the queue before it was received.
        received_at: When it was received, on the monotonic clock.
        task: The work on it, once started.
        verdict: What shall become of it, once decided.
    """

    message: ServiceBusReceivedMessage = field(repr=False)
    identity: Identity
    context: MessageContext
    queue_age: float
    received_at: float
    task: asyncio.Task[Verdict] | None = None
    verdict: Verdict | None = None


def report(held: Held, verdict: Verdict, now: float) -> None:
    """Log the one line about a message; ids, numbers and type names, never content."""
    if not _logger.isEnabledFor(logging.INFO):
        return
    context = held.context
    handling = now - held.received_at
    _logger.info(
        "message %s %s%s after %.3f s (origin %s, attempt %d, %.3f s in queue, quota wait %.3f s, model time %.3f s)",
        context.message_id,
        verdict.outcome,
        f" ({verdict.reason or verdict.error})" if verdict.reason or verdict.error else "",
        handling,
        context.origin_id,
        context.attempt,
        held.queue_age,
        context.times.quota_wait,
        context.times.model_time,
        extra={
            "message_id": context.message_id,
            "origin_id": context.origin_id,
            "trace_id": context.trace.trace_id,
            "attempt": context.attempt,
            "queue_age_s": round(held.queue_age, 3),
            "handling_s": round(handling, 3),
            "quota_wait_s": round(context.times.quota_wait, 3),
            "model_time_s": round(context.times.model_time, 3),
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "error": verdict.error,
        },
    )
