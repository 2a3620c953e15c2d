"""The asynchronous shell of one pool: callers wait here, and one timer wakes the queue when its head fits."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from ._pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._grant import Charge, Grant, Order
    from ._limits import Limits
    from ._queue import Waiter
    from ._sharing import Sharing
    from ._usage import Usage


class Poll:
    """One caller's wait for one answer; `Gate.wait` it, then it is over."""

    __slots__ = ("future", "waiter")

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.future: asyncio.Future[Grant | None] = asyncio.get_running_loop().create_future()

    @property
    def ticket(self) -> str:
        """What names its place."""
        return self.waiter.ticket


class Gate:
    """Owns a pool, and wakes those who wait.

    Args:
        limits: The pool's limits.
        assume_full: Grant nothing for one window, because nobody knows what was granted before.
        sharing: How those who wait share the pool; None: all apps alike.
        clock: Seconds that never go back.
        wall: Seconds since the epoch.
        on_change: Is told of each change of a grant, as by `Ledger`.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        assume_full: bool = False,
        sharing: Sharing | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        on_change: Callable[[Charge], None] | None = None,
    ) -> None:
        self.clock = clock
        now = clock()
        self.pool = Pool(
            limits,
            instance=secrets.token_hex(4),
            now=now,
            epoch=wall() - now,
            assume_full=assume_full,
            sharing=sharing,
            on_change=on_change,
        )
        self.closed = False
        self._polls: dict[Waiter, Poll] = {}
        self._timer: asyncio.TimerHandle | None = None

    def try_now(self, order: Order) -> Grant | None:
        """Grant the order if it fits and nobody waits.

        Raises:
            NeverFitsError: It is larger than the whole pool.
            KeyReusedError: Its key names another order.
        """
        if self.closed:
            return None
        return self.pool.grant_now(order, self.clock())

    def join(self, order: Order, ticket: str | None = None, *, deadline: float | None = None) -> Poll:
        """Take a place in the line, or the one that the ticket or the order's key kept.

        A caller who asks twice at once is answered once: the earlier poll ends without a grant. The place ends
        ``deadline`` seconds from now, if that is given.

        Raises:
            QueueFullError: Too many callers of the app wait already.
        """
        now = self.clock()
        waiter = self.pool.queue.join(order, now, ticket, deadline=None if deadline is None else now + deadline)
        self._answer(waiter, None)
        poll = self._polls[waiter] = Poll(waiter)
        if self.closed:
            self._answer(waiter, None)
        self.pump()
        return poll

    async def wait(self, poll: Poll, seconds: float | None = None) -> Grant | None:
        """Wait for the grant; None when the time is over, the gate closes or a later poll took the place.

        Whoever gets no grant, or is cancelled, owes the gate a `step_out` or a `leave`.
        """
        await asyncio.wait([poll.future], timeout=seconds)
        return poll.future.result() if poll.future.done() else None

    def step_out(self, poll: Poll) -> None:
        """End a poll and keep the place for the next one; a grant that nobody took goes back."""
        if self._end(poll, keep=True):
            self.pool.queue.step_out(poll.waiter, self.clock())
            self.pump()

    def leave(self, poll: Poll) -> None:
        """End a poll and give up the place; a grant that nobody took goes back."""
        if self._end(poll, keep=False):
            self.pool.queue.leave(poll.waiter)
            self.pump()

    def give_back(self, grant: Grant, poll: Poll | None = None) -> None:
        """Release a grant that its caller never got, unless another answer may have brought it.

        The place that it waited in, if the ``poll`` is given, is kept for it: it may come back.
        """
        if grant.renewed or grant.state != "open":
            return
        if poll is not None:
            self.pool.queue.put_back(poll.waiter, self.clock())
        self.release(grant.id)

    def release(self, grant_id: str) -> bool:
        """Release a grant whose request was never sent; tell whether it is known."""
        known = self.pool.release(grant_id, self.clock())
        self.pump()
        return known

    def settle(self, grant_id: str, usage: Usage) -> bool:
        """Take the report of a request; tell whether its grant is known."""
        ledger = self.pool.ledger
        tokens, terms = ledger.tokens, ledger.terms
        known = self.pool.settle(grant_id, usage, self.clock())
        if ledger.tokens < tokens or ledger.terms is not terms:  # otherwise nobody can start sooner than foreseen
            self.pump()
        return known

    def withdraw(self, app: str, key: str) -> bool:
        """Undo what an app asked under a key and never learned of: its place in the line, or its grant."""
        waiter = self.pool.queue.find(app, key)
        if waiter is not None:
            self._answer(waiter, None)
            self.pool.queue.leave(waiter)
            self.pump()
        grant = self.pool.ledger.find(app, key, self.clock())
        return self.release(grant.id) if grant is not None else waiter is not None

    def status(self) -> dict[str, Any]:
        """Return how the pool stands, in the words of the wire."""
        return self.pool.status(self.clock())

    def close(self) -> None:
        """Grant nothing more, and end every poll."""
        self.closed = True
        for waiter in list(self._polls):
            self._answer(waiter, None)
        if self._timer is not None:
            self._timer.cancel()

    def pump(self) -> None:
        """Grant whatever fits, and set the timer for what will fit next."""
        if self.closed or (self.pool.queue.idle and self._timer is None):
            return
        now = self.clock()
        for waiter, grant in self.pool.grants(now):
            self._answer(waiter, grant)
        self._set_timer(self.pool.queue.wake_at(now), now)

    def _set_timer(self, at: float | None, now: float) -> None:
        """Wake up at a time of the gate's clock, or not at all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_later(at - now, self.pump)

    def _answer(self, waiter: Waiter, grant: Grant | None) -> None:
        """End the poll that waits in a place, if there is one."""
        poll = self._polls.pop(waiter, None)
        if poll is not None:
            poll.future.set_result(grant)

    def _end(self, poll: Poll, *, keep: bool) -> bool:
        """End a poll from the caller's side; tell whether it still held its place."""
        if poll.future.done():
            grant = poll.future.result()
            if grant is not None:
                self.give_back(grant, poll if keep else None)
            return False
        del self._polls[poll.waiter]
        return True
