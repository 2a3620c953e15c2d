"""Who waits for a pool's ledger, and who is next: first come, first served.

Those who waited start evenly spaced, not in bursts: a burst reaches Azure late and in disorder, because the workers
that send it have other things to do. Who need not wait starts at once.

A caller asks in polls. Between two polls, or when its connection broke, it is absent and keeps its place: for a moment
the line is held for it, then it is passed over, and in the end it is forgotten. Everything here is synchronous and is
told the time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._ledger import Grant, Ledger, Order


class Waiter:
    """One place in the line; ``absent_since`` is None while its caller is there."""

    __slots__ = ("absent_since", "order", "since", "ticket")

    def __init__(self, ticket: str, order: Order, since: float) -> None:
        self.ticket = ticket
        self.order = order
        self.since = since
        self.absent_since: float | None = None


class WaitQueue:
    """The line in front of one ledger.

    Args:
        ledger: Where grants come from; nothing else grants from it.
        instance: Text that no other queue uses; tickets begin with it.
        hold: Seconds for which an absent head stops the line, so that it loses nothing by polling again.
        ticket_ttl: Seconds after which an absent caller is forgotten.
    """

    def __init__(self, ledger: Ledger, *, instance: str, hold: float = 0.25, ticket_ttl: float = 5.0) -> None:
        self._ledger = ledger
        self._instance = instance
        self._hold = hold
        self._ttl = ticket_ttl
        self._count = 0
        self._gap = ledger.limits.gap()
        self._next_start = -math.inf
        self._line: OrderedDict[str, Waiter] = OrderedDict()
        self._by_key: dict[tuple[str, str], Waiter] = {}

    def __len__(self) -> int:
        """Return how many callers are there and wait."""
        return sum(waiter.absent_since is None for waiter in self._line.values())

    def grant_now(self, order: Order, now: float) -> Grant | None:
        """Grant the order if it fits and nobody waits; one that its key shows to be charged already passes the line."""
        if self._line and self._head(now) is not None and not self._ledger.holds(order, now):
            return None
        return self._ledger.grant(order, now) if self._ledger.earliest(order, now) <= now else None

    def join(self, order: Order, now: float, ticket: str | None = None) -> Waiter:
        """Return the caller's place: the one that its ticket or its key kept, otherwise a new one at the end."""
        waiter = self._kept_place(order, ticket, now)
        if waiter is None:
            self._count += 1
            waiter = Waiter(f"{self._instance}-{self._count}", order, now)
            self._line[waiter.ticket] = waiter
            if order.key is not None:
                self._by_key[order.app, order.key] = waiter
        waiter.absent_since = None
        return waiter

    def step_out(self, waiter: Waiter, now: float) -> None:
        """Note that the caller is absent; its place is kept for a while."""
        waiter.absent_since = now

    def leave(self, waiter: Waiter) -> None:
        """Give up the place."""
        self._line.pop(waiter.ticket, None)
        order = waiter.order
        if order.key is not None and self._by_key.get((order.app, order.key)) is waiter:
            del self._by_key[order.app, order.key]

    def find(self, app: str, key: str) -> Waiter | None:
        """Return the place that an app's key names."""
        return self._by_key.get((app, key))

    def grants(self, now: float) -> Iterator[tuple[Waiter, Grant]]:
        """Grant to the callers at the head for as long as they fit."""
        while (waiter := self._head(now)) is not None and waiter.absent_since is None:
            if self._opens(waiter, now) > now:
                return
            self.leave(waiter)
            self._next_start = now + self._gap * waiter.order.requests
            yield waiter, self._ledger.grant(waiter.order, now)

    def wake_at(self, now: float) -> float | None:
        """Return the exact time at which `grants` has something to do, or None if nobody holds the line."""
        waiter = self._head(now)
        if waiter is None:
            return None
        if waiter.absent_since is not None:
            return waiter.absent_since + self._hold
        return self._opens(waiter, now)

    def position(self, waiter: Waiter) -> int:
        """Return how many callers wait before this one."""
        before = 0
        for other in self._line.values():
            if other is waiter:
                break
            before += other.absent_since is None
        return before

    def _opens(self, waiter: Waiter, now: float) -> float:
        """Return when the head may start: its order fits, and the start before it is a gap ago."""
        return max(self._ledger.earliest(waiter.order, now), self._next_start)

    def _kept_place(self, order: Order, ticket: str | None, now: float) -> Waiter | None:
        """Find the place of a caller who was here, and asks for the same as then."""
        waiter = self._line.get(ticket) if ticket is not None else None
        if waiter is None and order.key is not None:
            waiter = self._by_key.get((order.app, order.key))
        if waiter is None or self._is_forgotten(waiter, now) or waiter.order != order:
            return None
        return waiter

    def _head(self, now: float) -> Waiter | None:
        """Return who holds the line: the first who is there, or was there a moment ago."""
        forgotten: list[Waiter] = []
        head = None
        for waiter in self._line.values():
            if waiter.absent_since is None or now < waiter.absent_since + self._hold:
                head = waiter
                break
            if self._is_forgotten(waiter, now):
                forgotten.append(waiter)
        for waiter in forgotten:
            self.leave(waiter)
        return head

    def _is_forgotten(self, waiter: Waiter, now: float) -> bool:
        """Tell whether an absent caller's place is gone."""
        return waiter.absent_since is not None and now >= waiter.absent_since + self._ttl
