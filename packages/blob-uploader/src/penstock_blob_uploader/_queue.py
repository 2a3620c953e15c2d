"""Uploads in the background: started in order, a few at a time, repeated until they arrive or cannot.

Everything that decides is synchronous: `_advance` starts what may run and sets an alarm for what may run later; it is
called whenever something changed. The only coroutine is one attempt.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from penstock_blob_uploader._book import Book, Job
from penstock_blob_uploader._errors import NotUploadedError, SetupError, SourceError, UploadError
from penstock_blob_uploader._handle import Upload
from penstock_blob_uploader._intents import Intent
from penstock_blob_uploader._journal import Keeper, NoJournal
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._outcomes import Outcome
from penstock_blob_uploader._printable import printable
from penstock_blob_uploader._reading import delete
from penstock_blob_uploader._retry import Backoff
from penstock_blob_uploader._schedule import Schedule
from penstock_blob_uploader._statistics import Statistics

_logger = logging.getLogger(__name__)

LONGEST_WAIT = 3600.0
"""Seconds that a resumed upload waits at most: the clock may have been set back since its last attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the queue behaves."""

    max_running: int
    max_retries: int
    backoff: Backoff
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class UploadQueue:
    """Owns every queued upload from `add` until its handle is settled.

    Args:
        put: Makes one attempt.
        rules: How the queue behaves.
        keeper: Is told what becomes of every order, by its ticket.
    """

    def __init__(self, put: Callable[[Order], Awaitable[Outcome]], rules: Rules, keeper: Keeper | None = None) -> None:
        self._put = put
        self._rules = rules
        self._keeper: Keeper = keeper or NoJournal()
        self._book = Book()
        self._schedule: Schedule[Job] = Schedule()
        self._running: dict[asyncio.Task[None], Job] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._paused: str | None = None

    def add(self, order: Order, ticket: int = 0) -> Upload:
        """Queue an upload and return its handle; one that is queued already is not queued twice."""
        job = self._book.twin(order)
        if job is not None:
            self._keeper.finished(ticket)
        else:
            job = self._book.enter(order, ticket)
            self._schedule.add(job)
            self._advance()
        return job.handle()

    async def resume(self, intents: Iterable[Intent], now: float) -> None:
        """Take up what an earlier process left, in its order; ``now`` is the time by which ``not_before`` is told."""
        for intent in intents:
            self._book.counts["resumed"] += 1
            if intent.arrived:
                await self._delete(intent.order)
                self._keeper.finished(intent.ticket)
                continue
            job = self._book.enter(intent.order, intent.ticket, failures=intent.failures)
            wait = min(intent.not_before - now, LONGEST_WAIT)
            if wait > 0:
                self._schedule.put_off(job, self._rules.clock() + wait)
            else:
                self._schedule.add(job)
        self._advance()

    def statistics(self) -> Statistics:
        """Count."""
        return Statistics(
            waiting=len(self._schedule), running=len(self._running), paused=self._paused, **self._book.counts
        )

    async def stop(self, drain: float | None) -> list[Path]:
        """Go on until everything is done or ``drain`` seconds are over; return the files that are left."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    await self._idle.wait()
        finally:
            left = await self._abandon()
        return left

    # --- Deciding ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Start what may run, and set the alarm for what may run later."""
        while not self._stopping and len(self._running) < self._rules.max_running:
            job = self._schedule.take(self._rules.clock())
            if job is None:
                break
            self._start(job)
        self._set_alarm()
        if self._running or len(self._schedule):
            self._idle.clear()
        else:
            self._idle.set()

    def _start(self, job: Job) -> None:
        """Begin one attempt."""
        task = asyncio.get_running_loop().create_task(self._attempt(job), name=f"upload {job.order.blob_name}")
        self._running[task] = job
        task.add_done_callback(self._ended)

    def _set_alarm(self) -> None:
        """Come back when something is due, unless the end of an attempt will bring us back anyway."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due = self._schedule.next_due()
        if due is not None and not self._stopping and len(self._running) < self._rules.max_running:
            wait = max(0.0, due - self._rules.clock())
            self._alarm = asyncio.get_running_loop().call_later(wait, self._advance)

    def _after_failure(self, job: Job, error: UploadError) -> None:
        """Decide what a failed attempt means: for everyone, for good, or for later."""
        if isinstance(error, SetupError):
            self._pause(job, error)
            return
        if isinstance(error, SourceError):
            self._schedule.learnt_nothing(job)
        else:
            self._way_is_open()
        if error.permanent or job.failures >= self._rules.max_retries:
            self._give_up(job, error)
        else:
            self._put_off(job, error)

    def _pause(self, job: Job, error: SetupError) -> None:
        """Stop starting uploads for a while; said once for every pause, however often it is extended."""
        if self._paused is None:
            _logger.warning("Uploads wait until this is mended, then go on by themselves. %s", error)
        self._paused = str(error)
        self._schedule.close(job, self._rules.clock() + self._delay(self._schedule.pauses, error))

    def _way_is_open(self) -> None:
        """The service answered and let us in."""
        if self._schedule.open():
            self._paused = None
            _logger.info("Uploads go on: %d are waiting.", len(self._schedule))

    def _put_off(self, job: Job, error: UploadError) -> None:
        """Repeat later."""
        self._book.counts["retries"] += 1
        delay = self._delay(job.failures, error)
        job.failures += 1
        self._schedule.put_off(job, self._rules.clock() + delay)
        self._keeper.put_off(job.ticket, job.failures, delay)
        _logger.info("Attempt %d failed, the next one in %.1f s. %s", job.failures, delay, error)

    def _delay(self, n: int, error: UploadError) -> float:
        """Return the seconds to wait before repetition ``n``."""
        return self._rules.backoff.delay(n, chance=self._rules.chance, retry_after=error.retry_after)

    # --- Doing ------------------------------------------------------------------------------------------------------

    async def _attempt(self, job: Job) -> None:
        """Send one file once."""
        try:
            outcome = await self._put(job.order)
        except UploadError as error:
            self._after_failure(job, error)
            return
        self._way_is_open()
        try:
            if job.order.delete:
                # A file that is gone when the next process looks must be known to have arrived.
                await self._keeper.arrived(job.ticket)
                await self._delete(job.order)
            self._keeper.finished(job.ticket)
        finally:  # it did arrive, even if we are told to stop right now
            self._book.succeed(job, outcome)

    async def _delete(self, order: Order) -> None:
        """Delete an uploaded file; that this fails does not undo the upload."""
        try:
            await asyncio.to_thread(delete, order.path, order.snapshot)
        except UploadError as error:
            self._book.counts["kept"] += 1
            _logger.warning("An uploaded file could not be deleted. %s", error)
        else:
            self._book.counts["deleted"] += 1

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Make room for the next; a fault of ours fails its upload and no other."""
        job = self._running.pop(task)
        fault = None if task.cancelled() else task.exception()
        if isinstance(fault, Exception) and not job.settlement.settled:
            _logger.error("%s met a fault of the uploader.", printable(job.order.doing), exc_info=fault)
            self._give_up(job, fault)
            self._schedule.learnt_nothing(job)
        self._advance()

    def _give_up(self, job: Job, error: Exception) -> None:
        """Settle a failure for good."""
        self._keeper.finished(job.ticket)
        self._book.fail(job, error)

    async def _abandon(self) -> list[Path]:
        """End what runs, settle what is left, and see that every failure was heard of."""
        self._stopping = True
        cut_short = dict(self._running)
        for task in cut_short:
            task.cancel()
        if cut_short:
            await asyncio.wait(cut_short)
        left = {job: None for job in [*cut_short.values(), *self._schedule.drain()] if not job.settlement.settled}
        resumed = ", and the journal resumes it at the next start" if self._keeper.lasting else ""
        for job in left:
            job.settlement.notice.needless()  # all of them are reported together
            self._book.fail(
                job, NotUploadedError(f"{job.order.doing}: the uploader was shut down; the file is kept{resumed}.")
            )
        self._set_alarm()
        self._book.tell_all()
        return [job.order.path for job in left]
