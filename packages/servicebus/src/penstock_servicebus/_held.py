"""A message between receipt and settlement, and the line that is logged when it leaves."""

import asyncio
import logging
from dataclasses import dataclass

from azure.servicebus import ServiceBusReceivedMessage

from penstock_servicebus._identity import Identity
from penstock_servicebus._verdict import Verdict

_logger = logging.getLogger("penstock_servicebus")


@dataclass(slots=True, eq=False)
class Held:
    """One message in our keeping.

    Attributes:
        message: As the SDK handed it out.
        identity: Who it is.
        queue_age: Seconds it lay in the queue before it was received.
        received_at: When it was received, on the monotonic clock.
        task: The work on it, once started.
        verdict: What shall become of it, once decided.
    """

    message: ServiceBusReceivedMessage
    identity: Identity
    queue_age: float
    received_at: float
    task: asyncio.Task[Verdict] | None = None
    verdict: Verdict | None = None


def report(held: Held, verdict: Verdict, now: float) -> None:
    """Log the one line about a message; ids, numbers and type names, never content."""
    if not _logger.isEnabledFor(logging.INFO):
        return
    identity = held.identity
    handling = now - held.received_at
    _logger.info(
        "message %s %s%s after %.3f s (attempt %d, %.3f s in queue)",
        identity.message_id,
        verdict.outcome,
        f" ({verdict.reason or verdict.error})" if verdict.reason or verdict.error else "",
        handling,
        identity.attempt + 1,
        held.queue_age,
        extra={
            "message_id": identity.message_id,
            "origin_id": identity.origin_id,
            "attempt": identity.attempt + 1,
            "queue_age_s": round(held.queue_age, 3),
            "handling_s": round(handling, 3),
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "error": verdict.error,
        },
    )
