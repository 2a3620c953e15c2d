"""Every upload that is not settled yet, found by what it brings where; and the count of how they ended."""

import weakref
from collections import Counter
from dataclasses import dataclass

from penstock_blob_uploader._handle import Notice, Settlement, Upload
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._outcomes import Outcome, Same


@dataclass(eq=False, slots=True)
class Job:
    """An order in the queue, and how often it has failed for reasons of its own."""

    order: Order
    ticket: int
    settlement: Settlement
    failures: int = 0

    def handle(self) -> Upload:
        """Make a handle for a caller."""
        return self.settlement.handle(self.order.path, self.order.blob_name)


class Book:
    """Owns jobs from their entry until they are settled.

    Attributes:
        counts: How often what happened, by the names of `Statistics`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._jobs: dict[object, Job] = {}
        self._notices: weakref.WeakSet[Notice] = weakref.WeakSet()

    def twin(self, order: Order) -> Job | None:
        """Return the job that is to bring the same file in the same state to the same place."""
        job = self._jobs.get(order.key)
        return job if job is not None and job.order == order else None

    def enter(self, order: Order, ticket: int, *, failures: int = 0) -> Job:
        """Make a job that is found by its order."""
        job = self._jobs[order.key] = Job(order, ticket, Settlement(), failures)
        return job

    def succeed(self, job: Job, outcome: Outcome) -> None:
        """Settle a success."""
        self.counts[type(outcome).__name__.lower()] += 1
        if not isinstance(outcome, Same):
            self.counts["uploaded_bytes"] += outcome.length
        self._leave(job)
        job.settlement.succeed(outcome)

    def fail(self, job: Job, error: Exception) -> None:
        """Settle a failure. Its handle may be kept for long, so what led to it, and holds the content, is let go."""
        error.__cause__ = error.__context__ = None
        self.counts["failed"] += 1
        self._notices.add(job.settlement.notice)
        self._leave(job)
        job.settlement.fail(error.with_traceback(None))

    def tell_all(self) -> None:
        """Log every failure that nobody has heard of."""
        for notice in list(self._notices):
            notice.give()

    def _leave(self, job: Job) -> None:
        """Forget a job, unless a later one for another state of its file took its place."""
        if self._jobs.get(job.order.key) is job:
            del self._jobs[job.order.key]
