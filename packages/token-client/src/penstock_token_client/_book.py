"""What is charged to a pool, and for how long: an exact sliding log of grants, and the sums over it.

A charge stays for the whole window; what became of its request afterwards does not lower it unless the pool says so.
Everything here is synchronous and is told the time; each operation is amortised O(1), but for a change of terms.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from ._grant import Charge, Grant, Order, State
from ._index import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._limits import Limits
    from ._terms import Terms


class Book:
    """The grants of a pool's window, and how each stands.

    Args:
        limits: The pool's limits.
        instance: Text that no other ledger uses; ids begin with it.
        now: The time at which the ledger starts.
        assume_full: Start as if the whole window were used, because nobody knows what was granted before.
        on_change: Is told of each change of a grant, in order; what merely ages out is no change.

    Attributes:
        terms: What an order has to fit into at the moment; set by `adjust`.
        tokens: Tokens charged in the window.
        requests: Requests charged in the window.
        open_tokens: The part of ``tokens`` whose use is not reported yet.
        granted: Grants given since the start.
        unreported: Grants that aged out without a report or a release.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        instance: str,
        now: float,
        assume_full: bool = False,
        on_change: Callable[[Charge], None] | None = None,
    ) -> None:
        self.limits = limits
        self.terms = self._configured = limits.terms()
        self.tokens = self.requests = self.open_tokens = self.granted = self.unreported = 0
        self._instance = instance
        self._on_change = on_change
        self._log: deque[Grant] = deque()
        self._recent: deque[Grant] = deque()
        self._recent_requests = 0
        self._soonest = min(self.terms.pace, self.terms.span)
        self._next_aging = math.inf
        self._index = Index()
        if assume_full:
            self.fill(now)

    def fill(self, now: float) -> None:
        """Charge the whole window, because nobody knows what was granted before ``now``."""
        tpm, rpm = self.limits.tpm, self.limits.rpm
        everything = Order(app="", tokens=tpm, max_tokens=tpm, requests=rpm)
        grant = self._enter(f"{self._instance}-0", everything, tpm, now)
        self._end(grant, State.SETTLED)

    def restore(self, charges: Iterable[Charge], now: float) -> None:
        """Take over what another ledger of this pool charged, before anything is granted here.

        Args:
            charges: How each grant stood last, in the order of their times, which are times of this ledger's clock.
            now: The time, not before any of them.
        """
        for charge in charges:
            if charge.at + self.terms.span > now:
                grant = self._enter(charge.id, charge.order, self.cost(charge.order), charge.at, renewed=True)
                grant.used, grant.exact = charge.used, charge.exact
                if charge.state is not State.OPEN:
                    self._end(grant, charge.state)
        self._age(now)

    def charges(self, now: float) -> Iterator[Charge]:
        """Return how each grant in the window stands, in the order of their times: what `restore` takes."""
        self._age(now)
        return (grant.charge() for grant in self._log if grant.state is not State.MOVED)

    def adjust(self, terms: Terms, now: float) -> None:
        """Go by other terms from now on, also for what is in the window already."""
        self._age(now)
        repriced = terms.prompt_rate != self.terms.prompt_rate
        self.terms = terms
        self._soonest = min(terms.pace, terms.span)
        self._next_aging = self._oldest_leaves()
        if repriced:
            for grant in self._log:
                self._recharge(grant)

    def cost(self, order: Order) -> int:
        """Return what the order is charged; an order that fits an empty pool never costs more than that."""
        cost, limit = self.terms.cost(order.tokens, order.max_tokens), self.limits.tpm
        return cost if cost <= limit else min(cost, max(order.tokens, limit))

    def find(self, app: str, key: str | None, now: float) -> Grant | None:
        """Return the grant in the window that an app's key names."""
        self._age(now)
        return self._index.by_key.get((app, key))

    def named(self, grant_id: str, now: float) -> Grant | None:
        """Return the grant in the window that an id names."""
        self._age(now)
        return self._index.by_id.get(grant_id)

    def next_expiry(self, now: float) -> float | None:
        """Return when the oldest charge leaves the window, or None if nothing is charged."""
        self._age(now)
        return self._log[0].at + self.terms.span if self._log else None

    def _enter(self, grant_id: str, order: Order, cost: int, now: float, *, renewed: bool = False) -> Grant:
        """Append a charge at ``now``."""
        grant = Grant(grant_id, order, at=now, tokens=cost, renewed=renewed)
        self._log.append(grant)
        self._recent.append(grant)
        if now + self._soonest < self._next_aging:  # noqa: PLR1730 - min() takes longer, and this is the hottest line
            self._next_aging = now + self._soonest
        self._index.add(grant)
        self.tokens += grant.tokens
        self.open_tokens += grant.tokens
        self.requests += grant.requests
        self._recent_requests += grant.requests
        return grant

    def _end(self, grant: Grant, state: State) -> None:
        """Let an open grant stand otherwise; one that was not sent charges nothing, and frees its key."""
        self.open_tokens -= grant.tokens
        grant.state = state
        if state is not State.SETTLED:
            self.requests -= grant.requests
            self._recent_requests -= grant.requests if grant.recent else 0
            grant.requests = 0
        if state is State.RELEASED:
            self._index.drop_key(grant)
        if state is not State.SETTLED or grant.exact or (grant.used or 0) > grant.tokens:
            self._recharge(grant)

    def _recharge(self, grant: Grant) -> None:
        """Charge a grant what it costs by now."""
        before, grant.tokens = grant.tokens, self._due(grant)
        self.tokens += grant.tokens - before
        if grant.state is State.OPEN:
            self.open_tokens += grant.tokens - before

    def _due(self, grant: Grant) -> int:
        """Return what a grant is to be charged."""
        if grant.state is State.RELEASED or grant.state is State.MOVED:
            return 0
        if grant.used is None:
            return self.cost(grant.order)
        return grant.used if grant.exact else max(grant.used, self.cost(grant.order))

    def _tell(self, grant: Grant) -> Grant:
        """Tell of a grant that changed."""
        if self._on_change is not None:
            self._on_change(grant.charge())
        return grant

    def _age(self, now: float) -> None:
        """Drop what has left the window and the sub-window."""
        if now < self._next_aging:
            return
        recent, log, terms = self._recent, self._log, self.terms
        while recent and recent[0].at + terms.pace <= now:
            grant = recent.popleft()
            grant.recent = False
            self._recent_requests -= grant.requests
        while log and log[0].at + terms.span <= now:
            self._expire(log.popleft())
        self._next_aging = self._oldest_leaves()

    def _oldest_leaves(self) -> float:
        """Return when the next charge leaves the window or the sub-window."""
        window = self._log[0].at + self.terms.span if self._log else math.inf
        return min(window, self._recent[0].at + self.terms.pace) if self._recent else window

    def _expire(self, grant: Grant) -> None:
        """Forget a charge that has left the window."""
        self.tokens -= grant.tokens
        self.requests -= grant.requests
        if grant.state is State.OPEN:
            self.open_tokens -= grant.tokens
            self.unreported += 1
        self._index.drop(grant)
