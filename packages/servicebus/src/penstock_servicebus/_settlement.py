"""Carrying out verdicts on the receiver that holds the message."""

from collections.abc import Callable, Iterable

from azure.servicebus.aio import ServiceBusReceiver

from penstock_servicebus._calls import calling
from penstock_servicebus._errors import LockLost
from penstock_servicebus._held import Held
from penstock_servicebus._sdk_internals import Completion, release
from penstock_servicebus._statistics import Counts
from penstock_servicebus._verdict import Verdict

LOCK_LOST = Verdict("lock-lost")


async def settle(receiver: ServiceBusReceiver, held: Held, verdict: Verdict) -> Verdict:
    """Do to a message what was decided, and return what came of it.

    A lost lock is no error: the broker has given the message back already, and the ids of whatever was sent make sure
    that doing the work again doubles nothing within the duplicate detection's window.

    Raises:
        ServiceBusUnavailable: The broker cannot be told now.
    """
    try:
        async with calling("settle a message"):
            match verdict.outcome:
                case "completed" | "retried":
                    await receiver.complete_message(held.message)
                case "abandoned":
                    await receiver.abandon_message(held.message)
                case "dead-lettered":
                    await receiver.dead_letter_message(
                        held.message, reason=verdict.reason, error_description=verdict.description
                    )
                case "released":
                    await release(receiver, held.message)
                case "lock-lost":
                    pass
    except LockLost:
        return LOCK_LOST
    return verdict


async def complete_together(
    receiver: ServiceBusReceiver, decided: Iterable[Held], done: Callable[[Held], None]
) -> None:
    """Complete what is to be completed, with one wait for all the answers, and call `done` with each that is.

    What the broker refuses or leaves unanswered stays decided: `settle` will find out why.

    Raises:
        ServiceBusUnavailable: The broker cannot be told now; `done` was called all the same with what it has confirmed.
    """
    completing = [held for held in decided if held.verdict and held.verdict.outcome in ("completed", "retried")]
    if len(completing) <= 1:
        return
    completion = Completion(receiver, [held.message for held in completing])
    try:
        async with calling("settle messages"):
            await completion.carry_out()
    finally:
        for held in completing:
            if completion.confirmed(held.message):
                done(held)


def count(counts: Counts, verdict: Verdict) -> None:
    """Count one message out."""
    counts.in_progress -= 1
    match verdict.outcome:
        case "completed":
            counts.completed += 1
        case "retried":
            counts.retried += 1
        case "abandoned":
            counts.abandoned += 1
        case "dead-lettered":
            counts.dead_lettered[verdict.reason] += 1
        case "released":
            counts.released += 1
        case "lock-lost":
            counts.lock_lost += 1
