"""Putting a run together: which part gets what."""

from functools import partial

from azure.servicebus.aio import ServiceBusReceiver

from penstock_servicebus._breaker import Breaker
from penstock_servicebus._connection import Connection
from penstock_servicebus._custody import Custody
from penstock_servicebus._gate import Gate
from penstock_servicebus._intake import Intake
from penstock_servicebus._link import Link
from penstock_servicebus._lookout import Lookout
from penstock_servicebus._options import Options
from penstock_servicebus._outbox import Outbox
from penstock_servicebus._owner import Owner, Shared
from penstock_servicebus._pace import Pace
from penstock_servicebus._policy import Policy
from penstock_servicebus._processing import Outboxes, Processing
from penstock_servicebus._receiver import ReceiverOwner, Terms
from penstock_servicebus._run import Run
from penstock_servicebus._session_owner import SessionOwner
from penstock_servicebus._signature import Processor
from penstock_servicebus._statistics import Counts
from penstock_servicebus._watchdog import Watchdog

_BREAKER_THRESHOLD = 5  # environment failures in a row
_BREAKER_MAX_PAUSE = 60.0  # s between two probes
_LONGEST_LOOK = 20.0  # s a link for the next session stays half open: less than after which openings count as stuck


def assemble(
    processor: Processor, connection: Connection, options: Options, *, custody: Custody, intake: Intake, counts: Counts
) -> Run:
    """Make the parts of one run; nothing is opened yet."""
    breaker = Breaker(
        threshold=_BREAKER_THRESHOLD,
        first_pause=options.retry_delay,
        max_pause=_BREAKER_MAX_PAUSE,
        now=options.clock.monotonic,
    )
    gate = Gate(breaker)
    outboxes = Outboxes(
        results=_outbox(connection, options.out_queue_name, options),
        copies=_outbox(connection, options.in_queue_name, options) if options.source.takes_copies else None,
    )
    processing = Processing(
        processor,
        policy=Policy(options.max_retries, options.retry_delay, options.random),
        gate=gate,
        outboxes=outboxes,
        counts=counts,
        max_handling_time=options.max_handling_time,
        clock=options.clock,
    )
    shared = Shared(processing, custody, gate, intake, Pace(options.max_wait_time), counts, options.clock)
    owners = _session_owners if options.sessions else _receiver_owners
    return Run(
        connection, outboxes, owners(connection, options, shared), shared=shared, watchdog=Watchdog(processor, counts)
    )


def _outbox(connection: Connection, entity: str, options: Options) -> Outbox:
    """The owner of the sender to a queue or topic."""
    name = f"sender to {entity} at {connection.namespace}"
    return Outbox(Link(name, partial(connection.sender, entity), options.random))


def _receiver_owners(connection: Connection, options: Options, shared: Shared) -> list[Owner]:
    """An owner for each receiver, with its share of the slots."""
    name = f"receiver of {options.source} at {connection.namespace}"
    ahead = options.message_batch_size - 1

    def new_receiver() -> ServiceBusReceiver:
        return options.source.receiver(connection.client)

    def owner(slots: int) -> ReceiverOwner:
        link = Link(name, new_receiver, options.random)
        return ReceiverOwner(link, Terms(slots, ahead, options.max_handling_time), shared)

    return [owner(slots) for slots in options.slots()]


def _session_owners(connection: Connection, options: Options, shared: Shared) -> list[Owner]:
    """An owner for each session that may be worked on at once."""
    name = f"session of {options.source} at {connection.namespace}"
    lookout = Lookout()

    def next_session() -> ServiceBusReceiver:
        return options.source.next_session(connection.client, wait=min(shared.pace.seconds, _LONGEST_LOOK))

    def owner() -> SessionOwner:
        return SessionOwner(Link(name, next_session, options.random), lookout, shared)

    return [owner() for _ in range(options.max_concurrency)]
