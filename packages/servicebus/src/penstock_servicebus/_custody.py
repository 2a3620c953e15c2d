"""Taking charge of messages and letting go of them: identified and counted in, settled, counted out and told of."""

from collections.abc import Callable

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

from penstock_servicebus._clock import Clock
from penstock_servicebus._context import MessageContext, working_on
from penstock_servicebus._entity import Entity
from penstock_servicebus._held import Held, report
from penstock_servicebus._identity import Identity
from penstock_servicebus._messages import identity_of, properties_of
from penstock_servicebus._session import OwnedSession
from penstock_servicebus._settlement import LOCK_LOST, count, settle
from penstock_servicebus._statistics import Counts
from penstock_servicebus._trace import begin_trace, read_trace
from penstock_servicebus._verdict import Verdict


class Custody:
    """What all owners of a handler do alike with a message that came and one that goes.

    Args:
        source: Where messages come from.
        counts: What is counted.
        clock: Time.
        random: In [0, 1): for the ids of new traces.
        max_handling_time: Seconds from receipt until a message is given up here.
    """

    def __init__(
        self, source: Entity, counts: Counts, clock: Clock, random: Callable[[], float], max_handling_time: float
    ) -> None:
        self._source = source
        self._counts = counts
        self._clock = clock
        self._random = random
        self._max_handling_time = max_handling_time

    def take(self, message: ServiceBusReceivedMessage, session: OwnedSession | None = None) -> Held:
        """Take charge of a message just received."""
        identity = self.identity_of(message)
        enqueued, now = message.enqueued_time_utc, self._clock.monotonic()
        age = max(self._clock.wall() - enqueued.timestamp(), 0.0) if enqueued is not None else 0.0
        self._counts.received += 1
        self._counts.in_progress += 1
        return Held(message, identity, self.context_of(message, identity, session), age, now)

    def identity_of(self, message: ServiceBusReceivedMessage) -> Identity:
        """Who a message is."""
        return identity_of(message, str(self._source))

    def context_of(
        self, message: ServiceBusReceivedMessage, identity: Identity, session: OwnedSession | None = None
    ) -> MessageContext:
        """What may be known about a message; where there are no copies, a failed delivery is a failed attempt."""
        properties, correlation_id = properties_of(message), message.correlation_id
        deliveries = message.delivery_count or 0
        ends = self._clock.monotonic() + self._max_handling_time
        return MessageContext(
            message_id=identity.message_id,
            origin_id=identity.origin_id,
            attempt=identity.attempt + 1 + (0 if self._source.takes_copies else deliveries),
            delivery_count=deliveries,
            enqueued_at=message.enqueued_time_utc,
            correlation_id=None if correlation_id is None else str(correlation_id),
            subject=message.subject,
            properties=properties,
            session_id=message.session_id,
            session=session,
            trace=read_trace(properties) or begin_trace(self._random),
            _locked_until=(lambda: message.locked_until_utc) if session is None else session.locked_until,
            _handling_time_left=lambda: ends - self._clock.monotonic(),
        )

    async def settle(self, receiver: ServiceBusReceiver, held: Held) -> Verdict:
        """Do to a message what was decided, and return what came of it.

        Raises:
            ServiceBusUnavailable: The broker cannot be told now; nothing is counted.
        """
        verdict = await settle(receiver, held, held.verdict or LOCK_LOST)
        self.close(held, verdict)
        return verdict

    def close(self, held: Held, verdict: Verdict) -> None:
        """Count a message out, and tell what became of it."""
        count(self._counts, verdict)
        with working_on(held.context):
            report(held, verdict, self._clock.monotonic())
