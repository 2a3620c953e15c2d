"""The gate of a pool that this process has to itself, and the journal in which it keeps what it grants, if it does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from penstock_token_client.accounting import Gate

from ._paused import PausedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_token_client import Limits, Sharing
    from penstock_token_client.accounting import Grant, Order, Poll, Pool, Usage

    from ._journal import Journal


class SoleGate:
    """Serves one pool.

    Args:
        name: The pool's name.
        limits: Its limits.
        assume_idle: Grant from the start, as if nothing had been sent in the last minute.
        sharing: How those who wait share the pool; None: all apps alike.
        journal: Where every change is kept; it knows what was sent in the last minute.
        clock: Seconds that never go back.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        *,
        assume_idle: bool = False,
        sharing: Sharing | None = None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        recorder = None if journal is None else journal.recorder(name)
        assume_full = not assume_idle and journal is None
        self._gate = Gate(limits, assume_full=assume_full, sharing=sharing, clock=clock, wall=wall, on_change=recorder)
        self._journal = journal
        self.clock: Callable[[], float] = self._gate.clock
        self.pool: Pool = self._gate.pool

    @property
    def instances(self) -> set[str]:
        """What ids of the pool's grants begin with."""
        return {self.pool.instance}

    @property
    def closed(self) -> bool:
        """Whether nothing is granted any more."""
        return self._gate.closed

    @property
    def alive(self) -> bool:
        """Whether no fault of ours has ended it: nothing could, because all is decided where it is asked."""
        return True

    @property
    def ready(self) -> bool:
        """Whether locks are answered: what was granted before is known, and the counter does not stop."""
        return not self.closed and (self._journal is None or self._journal.ready)

    @property
    def facts(self) -> dict[str, str]:
        """How it stands with what keeps the pool."""
        return {"journal": "none" if self._journal is None else self._journal.state, "store": "none"}

    async def ask(self, order: Order, ticket: str | None, *, wait: float) -> Grant | Poll | None:
        """Grant the order if it fits and nobody waits; otherwise give its caller a place, if it waits some seconds.

        Raises:
            NeverFitsError: It is larger than the whole pool.
            KeyReusedError: Its key names another order.
            QueueFullError: Too many callers of the app wait already.
            PausedError: No grant could be kept.
        """
        if self._journal is not None:
            await self._journal.replayed()
            self._journal.check()
        grant = self._gate.try_now(order)
        if grant is not None:
            await self._commit_grant(grant, None)
            return grant
        return self._gate.join(order, ticket) if wait > 0 and not self.closed else None

    async def wait(self, poll: Poll, seconds: float) -> Grant | None:
        """Wait for the grant; None when the time is over, the gate closes or a later poll took the place.

        Raises:
            PausedError: The grant could not be kept.
        """
        grant = await self._gate.wait(poll, seconds)
        if grant is not None:
            await self._commit_grant(grant, poll)
        return grant

    def step_out(self, poll: Poll) -> None:
        """End a poll and keep the place for the next one; a grant that nobody took goes back."""
        self._gate.step_out(poll)

    def undeliverable(self, grant: Grant, poll: Poll | None) -> None:
        """Take back a grant that its caller never got, unless another answer may have brought it; keep its place."""
        self._gate.give_back(grant, poll)

    async def settle(self, app: str, grant_id: str, usage: Usage) -> bool:
        """Take the report of a request; tell whether the app has such a grant."""
        return await self._kept(lambda: self._is_of(app, grant_id) and self._gate.settle(grant_id, usage))

    async def release(self, app: str, grant_id: str) -> bool:
        """Release a grant whose request was never sent; tell whether the app has it."""
        return await self._kept(lambda: self._is_of(app, grant_id) and self._gate.release(grant_id))

    async def withdraw(self, app: str, key: str) -> bool:
        """Undo what an app asked under a key and never learned of: its place in the line, or its grant."""
        return await self._kept(lambda: self._gate.withdraw(app, key))

    def position(self, poll: Poll) -> int:
        """Return how many callers of the same app wait before this one."""
        return self.pool.queue.position(poll.waiter)

    def status(self) -> dict[str, Any]:
        """Return how the pool stands, in the words of the wire."""
        return self._gate.status()

    def close(self) -> None:
        """Grant nothing more, and end every poll."""
        self._gate.close()

    async def _kept(self, decide: Callable[[], bool]) -> bool:
        """Decide, and keep it.

        Raises:
            PausedError: It is noted, and may be forgotten if the counter is killed now.
        """
        if self._journal is None:
            return decide()
        await self._journal.replayed()
        known = decide()
        await self._journal.commit()
        return known

    async def _commit_grant(self, grant: Grant, poll: Poll | None) -> None:
        """Keep a grant; one that cannot be kept, or whose caller has gone meanwhile, goes back."""
        if self._journal is None:
            return
        try:
            await self._journal.commit()
        except (PausedError, asyncio.CancelledError):
            self.undeliverable(grant, poll)
            raise

    def _is_of(self, app: str, grant_id: str) -> bool:
        """Tell whether a grant is in the window and belongs to an app; ids are easily guessed."""
        grant = self.pool.ledger.named(grant_id, self.clock())
        return grant is not None and grant.order.app == app
