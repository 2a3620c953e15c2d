"""One run of a handler: its tasks, from opening to drained."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from penstock_servicebus._connection import Connection
from penstock_servicebus._owner import Owner, Shared
from penstock_servicebus._processing import Outboxes
from penstock_servicebus._statistics import HandlerStatistics
from penstock_servicebus._watchdog import Watchdog

_logger = logging.getLogger(__name__)

_GRACE = 10.0
"""Seconds after the drain in which what is left may still be given back."""


class Run:
    """Supervises the owners of one handler's receivers and senders."""

    def __init__(
        self,
        connection: Connection,
        outboxes: Outboxes,
        owners: Sequence[Owner],
        *,
        shared: Shared,
        watchdog: Watchdog,
    ) -> None:
        self.outboxes = outboxes
        self.pace = shared.pace
        self._connection = connection
        self._owners = owners
        self._watchdog = watchdog
        self._gate = shared.gate
        self._intake = shared.intake
        self._counts = shared.counts
        self._work: asyncio.Task[None] | None = None
        for owner in owners:
            self._intake.on_stop(owner.look_around)

    @property
    def running(self) -> bool:
        """Whether there is still something to wait for."""
        return self._work is not None and not self._work.done()

    def statistics(self) -> HandlerStatistics:
        """The counts as they stand."""
        return self._counts.picture(waiting=self._gate.waiting, breaker=self._gate.status())

    async def open(self) -> None:
        """Open what every message needs, so that a wrong name shows now, and start.

        Raises:
            ServiceBusUnavailable: A queue cannot be opened.
        """
        try:
            self._connection.open()
            await _all(self.outboxes.results.open(), *(owner.open() for owner in self._owners))
        except BaseException:
            await self._close()
            raise
        self._work = asyncio.create_task(self._supervise())

    def stop(self, drain: float) -> None:
        """End the intake and all waiting; work under way has `drain` seconds to finish, then it is given back."""
        if self._intake.stopped:
            return
        self._intake.stop()
        self._gate.shut_down()
        asyncio.get_running_loop().call_later(drain, self._give_up)

    async def over(self) -> None:
        """Return when everything is settled or given back and closed."""
        if self._work is None:
            return
        try:
            await asyncio.wait([self._work])
        except asyncio.CancelledError:
            self._work.cancel()
            await asyncio.wait([self._work], timeout=_GRACE)
            raise
        if self._work.cancelled():
            _logger.error("stopped with %d messages not given back; their locks will expire", self._counts.in_progress)
        else:
            self._work.result()

    async def _supervise(self) -> None:
        """Run the owners; senders and watchdog live as long as there is a receiver that may need them."""
        servants = [asyncio.create_task(outbox.run()) for outbox in self.outboxes.all()]
        servants.append(asyncio.create_task(self._watchdog.run()))
        receivers = [asyncio.create_task(owner.run()) for owner in self._owners]
        tasks = [*servants, *receivers]
        try:
            await self._until_received(receivers, servants)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._close()

    async def _until_received(self, receivers: list[asyncio.Task[None]], servants: list[asyncio.Task[None]]) -> None:
        """Return when all receivers are done; whatever ends before its time raises what ended it."""
        pending = set(receivers)
        while pending:
            done, _ = await asyncio.wait([*pending, *servants], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            pending -= done

    def _give_up(self) -> None:
        """The drain is over: give everything back, and if even that hangs, leave it to the locks."""
        if not self.running or self._work is None:
            return
        _logger.warning("not finished in time: giving %d messages back", self._counts.in_progress)
        for owner in self._owners:
            owner.abandon_work()
        asyncio.get_running_loop().call_later(_GRACE, self._work.cancel)

    async def _close(self) -> None:
        """Close everything, all at once: each says farewell to the broker, which may not answer."""
        closing = [owner.close() for owner in self._owners]
        await asyncio.gather(*closing, *(outbox.close() for outbox in self.outboxes.all()))
        await self._connection.close()


async def _all(*calls: Coroutine[Any, Any, None]) -> None:
    """Make several calls at once; when one fails, none of the others goes on."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
