"""The gate of a pool that several counters share: whatever is asked is decided in this counter's next turn."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from penstock_token_client.accounting import Grant

from ._decision import Decision, errand, question
from ._replica import Replica
from ._shared_polls import SharedPoll, SharedPolls
from ._turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_token_client import Limits, Sharing
    from penstock_token_client.accounting import Order, Pool, Usage, Waiter

    from ._store import Store

_PATIENCE = 5.0
"""Seconds for which somebody who would not wait for quota waits for the store."""

_LEAST_MARGIN = 0.05
"""Seconds that a grant may take to its caller in any case; otherwise as many as the pool's margin has."""


class SharedGate:
    """Serves one pool of a store.

    Args:
        name: The pool's name.
        limits: Its limits.
        store: Where it is kept.
        assume_idle: If the store does not know the pool, grant at once.
        sharing: How those who wait share the pool; None: all apps alike.
        monotonic: Seconds that never go back.

    Attributes:
        closed: Whether nothing is granted any more.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        store: Store,
        *,
        assume_idle: bool = False,
        sharing: Sharing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.closed = False
        self._counter = store.counter
        self._replica = Replica(limits, counter=store.counter, instance=secrets.token_hex(4), sharing=sharing)
        self._polls = SharedPolls(self._replica, store.counter)
        self._turns = Turns(
            name,
            self._replica,
            self._polls,
            store,
            assume_idle=assume_idle,
            in_time=max(limits.margin, _LEAST_MARGIN),
            monotonic=monotonic,
        )

    @property
    def pool(self) -> Pool:
        """The pool, as far as it is known here."""
        return self._replica.pool

    @property
    def instances(self) -> set[str]:
        """What ids of the pool's grants begin with, or began with before the store lost the pool."""
        return self._replica.instances

    @property
    def alive(self) -> bool:
        """Whether no fault of ours has ended it."""
        return self._turns.alive

    @property
    def ready(self) -> bool:
        """Whether locks are answered: the store can be reached, and the counter does not stop."""
        return not self.closed and self._turns.serving

    @property
    def facts(self) -> dict[str, str]:
        """How it stands with what keeps the pool."""
        return {"journal": "none", "store": self._turns.standing.state}

    def clock(self) -> float:
        """Return the time by the store's clock."""
        return self._turns.clock()

    def start(self) -> None:
        """Begin to take turns."""
        self._turns.start()

    def wake(self) -> None:
        """Look at the store soon, because something has changed there."""
        self._turns.wake()

    async def ask(self, order: Order, ticket: str | None, *, wait: float) -> Grant | SharedPoll | None:
        """Grant the order if it fits and nobody waits; otherwise give its caller a place, if it waits some seconds.

        Raises:
            NeverFitsError: It is larger than the whole pool.
            KeyReusedError: Its key names another order.
            QueueFullError: Too many callers of the app wait already.
            StoreAwayError: The store cannot be reached.
        """

        def decide(now: float) -> Grant | Waiter | None:
            grant = None if self.closed else self.pool.grant_now(order, now)
            if grant is not None or self.closed or wait <= 0:
                return grant
            return self.pool.queue.join(order, now, ticket, home=self._counter)

        decision = Decision(decide, self._begin, self._undo)
        return await self._turns.decided(decision, max(wait, _PATIENCE))

    async def wait(self, poll: SharedPoll, seconds: float) -> Grant | None:
        """Wait for the grant; None when the time is over, the gate closes or a later poll took the place."""
        await asyncio.wait([poll.future], timeout=seconds)
        return poll.future.result() if poll.future.done() else None

    def step_out(self, poll: SharedPoll) -> None:
        """End a poll and keep the place for the next one; a grant that nobody took goes back."""
        if not poll.future.done():
            self._polls.cancel(poll)
            self._turns.agenda.add(errand(lambda now: self._leave_for_now(poll.ticket, now)))
            return
        grant = poll.future.result()
        if grant is not None:
            self.undeliverable(grant, poll)

    def undeliverable(self, grant: Grant, poll: SharedPoll | None) -> None:
        """Take back a grant that its caller never got, unless another answer may have brought it; keep its place."""
        if not (grant.renewed if poll is None else poll.renewed):
            self._turns.agenda.take_back(grant, None if poll is None else poll.ticket)

    async def settle(self, app: str, grant_id: str, usage: Usage) -> bool:
        """Take the report of a request; tell whether the app has such a grant.

        Raises:
            StoreAwayError: The store cannot be reached.
        """
        return await self._known(
            lambda now: self._is_of(app, grant_id, now) and self._replica.report(grant_id, usage, now)
        )

    async def release(self, app: str, grant_id: str) -> bool:
        """Release a grant whose request was never sent; tell whether the app has it.

        Raises:
            StoreAwayError: The store cannot be reached.
        """
        return await self._known(lambda now: self._is_of(app, grant_id, now) and self.pool.release(grant_id, now))

    async def withdraw(self, app: str, key: str) -> bool:
        """Undo what an app asked under a key and never learned of: its place in the line, or its grant.

        Raises:
            StoreAwayError: The store cannot be reached.
        """
        return await self._known(lambda now: self._withdraw(app, key, now))

    def position(self, poll: SharedPoll) -> int:
        """Return how many callers of the same app wait before this one."""
        waiter = self.pool.queue.place(poll.ticket)
        return 0 if waiter is None else self.pool.queue.position(waiter)

    def status(self) -> dict[str, Any]:
        """Return how the pool stands, in the words of the wire."""
        return self.pool.status(self.clock())

    def close(self) -> None:
        """Grant nothing more, and end every poll; the places are kept for those who go to another counter."""
        self.closed = True
        self._turns.granting = False
        for poll in self._polls.all():
            self.step_out(poll)

    async def aclose(self) -> None:
        """Tell the others that nobody waits here any more, if the store can be reached, and end."""
        self.close()
        await self._turns.aclose()

    async def _known(self, make: Callable[[float], bool]) -> bool:
        """Have decided what is known, and what follows from it."""
        return await self._turns.decided(question(make), _PATIENCE)

    def _begin(self, decided: Grant | Waiter | None) -> Grant | SharedPoll | None:
        """Begin the poll of a caller who has a place."""
        if decided is None or isinstance(decided, Grant):
            return decided
        poll = self._polls.begin(decided)
        if self.closed:
            self.step_out(poll)
        return poll

    def _undo(self, told: Grant | SharedPoll | None) -> None:
        """Take back what a caller who has gone was not told."""
        if isinstance(told, SharedPoll):
            self.step_out(told)
        elif told is not None:
            self.undeliverable(told, None)

    def _leave_for_now(self, ticket: str, now: float) -> None:
        """Note that a caller is absent, unless it is back."""
        waiter = self.pool.queue.place(ticket)
        if waiter is not None and waiter.home == self._counter and ticket not in self._polls:
            self.pool.queue.step_out(waiter, now)

    def _withdraw(self, app: str, key: str, now: float) -> bool:
        """Undo what an app asked under a key; who takes a place over ends the poll in it, at whichever counter."""
        waiter = self.pool.queue.find(app, key)
        if waiter is not None:
            self.pool.queue.take_over(waiter, self._counter)
            self.pool.queue.leave(waiter)
            self._turns.agenda.add(errand(lambda _: self._polls.end(waiter.ticket)))
        grant = self.pool.ledger.find(app, key, now)
        return self.pool.release(grant.id, now) if grant is not None else waiter is not None

    def _is_of(self, app: str, grant_id: str, now: float) -> bool:
        """Tell whether a grant is in the window and belongs to an app; ids are easily guessed."""
        grant = self.pool.ledger.named(grant_id, now)
        return grant is not None and grant.order.app == app
