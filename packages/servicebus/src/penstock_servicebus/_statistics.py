"""What a handler counts, and the picture of it that `statistics()` gives."""

from collections import Counter
from dataclasses import dataclass, field

from penstock_servicebus._breaker import BreakerStatus


@dataclass(frozen=True, slots=True)
class HandlerStatistics:
    """A handler at one moment; counts are since its construction.

    Attributes:
        received: Messages taken from the in-queue, redeliveries included.
        completed: Messages settled after their results were accepted by the out-queue.
        results_sent: Results the out-queue accepted.
        retried: Attempts that failed and were sent again as a delayed copy.
        abandoned: Attempts that failed and were given back counted, because their source takes no copies.
        dead_lettered: Messages set aside, by reason.
        released: Messages given back uncounted: at a stop, at `max_handling_time`, or with too little lock left.
        lock_lost: Messages whose lock was gone when they should have been settled; the broker delivers them again.
        environment_failures: Failures of quota, endpoints or connections that counted as no attempt.
        locks_renewed: Renewals that succeeded.
        standstills: Times the event loop was blocked for a second or more, by the processor or anything else.
        in_progress: Messages held now.
        waiting: Those of them that wait for their environment only.
        breaker: Whether the intake is paused, and why.
    """

    received: int
    completed: int
    results_sent: int
    retried: int
    abandoned: int
    dead_lettered: dict[str, int]
    released: int
    lock_lost: int
    environment_failures: int
    locks_renewed: int
    standstills: int
    in_progress: int
    waiting: int
    breaker: BreakerStatus


@dataclass(slots=True)
class Counts:
    """The running counts behind the picture; written by tasks of one loop only."""

    received: int = 0
    completed: int = 0
    results_sent: int = 0
    retried: int = 0
    abandoned: int = 0
    dead_lettered: Counter[str] = field(default_factory=Counter)
    released: int = 0
    lock_lost: int = 0
    environment_failures: int = 0
    locks_renewed: int = 0
    standstills: int = 0
    in_progress: int = 0

    def picture(self, *, waiting: int, breaker: BreakerStatus) -> HandlerStatistics:
        """The counts as they stand."""
        return HandlerStatistics(
            received=self.received,
            completed=self.completed,
            results_sent=self.results_sent,
            retried=self.retried,
            abandoned=self.abandoned,
            dead_lettered=dict(self.dead_lettered),
            released=self.released,
            lock_lost=self.lock_lost,
            environment_failures=self.environment_failures,
            locks_renewed=self.locks_renewed,
            standstills=self.standstills,
            in_progress=self.in_progress,
            waiting=waiting,
            breaker=breaker,
        )
