"""Putting a run together: which part gets what."""

from functools import partial

from penstock_servicebus._breaker import Breaker
from penstock_servicebus._connection import Connection
from penstock_servicebus._decoding import Decoder, Processor
from penstock_servicebus._gate import Gate
from penstock_servicebus._intake import Intake
from penstock_servicebus._link import Link
from penstock_servicebus._options import Options
from penstock_servicebus._outbox import Outbox
from penstock_servicebus._pace import Pace
from penstock_servicebus._policy import Policy
from penstock_servicebus._processing import Outboxes, Processing
from penstock_servicebus._receiver import ReceiverOwner, Shared, Terms
from penstock_servicebus._run import Run
from penstock_servicebus._statistics import Counts

_BREAKER_THRESHOLD = 5  # environment failures in a row
_BREAKER_MAX_PAUSE = 60.0  # s between two probes


def assemble(
    processor: Processor,
    decoder: Decoder,
    connection: Connection,
    options: Options,
    *,
    intake: Intake,
    counts: Counts,
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
        copies=_outbox(connection, options.in_queue_name, options),
    )
    processing = Processing(
        processor,
        decoder,
        policy=Policy(options.max_retries, options.retry_delay, options.random),
        gate=gate,
        outboxes=outboxes,
        counts=counts,
        max_handling_time=options.max_handling_time,
        clock=options.clock,
    )
    shared = Shared(processing, gate, intake, counts, options.clock)
    pace = Pace(options.max_wait_time)
    owners = [_owner(connection, options, index, slots, shared, pace) for index, slots in enumerate(options.slots())]
    return Run(connection, outboxes, owners, shared=shared, pace=pace)


def _outbox(connection: Connection, queue: str, options: Options) -> Outbox:
    """The owner of the sender to `queue`."""
    return Outbox(Link(f"sender to {queue}", partial(connection.sender, queue), options.random))


def _owner(
    connection: Connection, options: Options, index: int, slots: int, shared: Shared, pace: Pace
) -> ReceiverOwner:
    """The owner of receiver number `index`."""
    queue = options.in_queue_name
    terms = Terms(
        queue=queue,
        slots=slots,
        ahead=options.message_batch_size - 1,
        keep_lock=options.max_handling_time,
        probes=index == 0,
    )
    link = Link(f"receiver of {queue}", partial(connection.receiver, queue), options.random)
    return ReceiverOwner(link, terms, shared, pace)
