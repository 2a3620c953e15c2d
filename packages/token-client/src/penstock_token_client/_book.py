"""What is charged to a pool, and for how long: an exact sliding log of grants, and the sums over it.

A charge stays for the whole window; what became of its request afterwards does not lower it unless the pool says so.
Everything here is synchronous and is told the time; each operation is amortised O(1), but for a change of terms.

What has left the window is dropped when somebody looks, often many at a time; until then the sums are too high, never
too low.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Literal

from ._grant import Charge, Grant, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._limits import Limits
    from ._terms import Terms


class Book:
    """The grants of a pool's window, and how each stands.

    Args:
        limits: The pool's limits.
        instance: Text that no other ledger uses; ids begin with it.
        on_change: Is told of each change of a grant, in order; what merely ages out is no change.

    Attributes:
        terms: What an order has to fit into at the moment; set by `adjust`.
        tokens: Tokens charged in the window, when it was last looked at.
        requests: Requests charged in the window, likewise.
        open_tokens: The part of ``tokens`` whose use is not reported yet.
        granted: Grants given since the start.
        gone_until: Grants up to this time had left the window when it grew, and do not come back.
        unreported: Grants that aged out without a report or a release.
    """

    def __init__(self, limits: Limits, *, instance: str, on_change: Callable[[Charge], None] | None = None) -> None:
        self.limits = limits
        self.terms = self._configured = limits.terms()
        self.tokens = self.requests = self.open_tokens = self.granted = self.unreported = 0
        self.gone_until = -math.inf
        self._instance = instance
        self._on_change = on_change
        self._log: deque[Grant] = deque()
        self._recent: deque[Grant] = deque()
        self._recent_requests = 0
        self._by_id: dict[str, Grant] = {}
        self._by_key: dict[tuple[str, str | None], Grant] = {}

    def fill(self, now: float) -> None:
        """Charge the whole window, because nobody knows what was granted before ``now``."""
        tpm, rpm = self.limits.tpm, self.limits.rpm
        everything = Order(app="", tokens=tpm, max_tokens=tpm, requests=rpm)
        grant = self._enter(f"{self._instance}-0", everything, tpm, now)
        self._settle(grant, tpm, exact=False)
        self._tell(grant)

    def restore(self, charges: Iterable[Charge], now: float) -> None:
        """Take over what another ledger of this pool charged, before anything is granted here.

        Args:
            charges: How each grant stood last, in the order of their times, which are times of this ledger's clock.
            now: The time, not before any of them.
        """
        for charge in charges:
            if charge.at + self.terms.span > now and charge.at > self.gone_until:
                self.follow(charge)
        self._age(now)

    def follow(self, charge: Charge) -> Grant:
        """Take over how one grant stands by the word of another ledger that goes on with this one's window.

        Such words come in the order in which they were spoken. What this ledger knows already changes nothing.
        """
        grant = self._by_id.get(charge.id)
        if grant is None or grant.at != charge.at:
            if grant is not None and grant.state == "open":
                self._withdraw(grant, "moved")
            grant = self._enter(charge.id, charge.order, self.cost(charge.order), charge.at)
            grant.renewed = True
        if grant.state != "open" or charge.state == "open":
            return grant
        if charge.state == "settled":
            self._settle(grant, charge.used or 0, exact=charge.exact)
        else:
            self._withdraw(grant, charge.state)
        return grant

    def charges(self, now: float) -> Iterator[Charge]:
        """Return how each grant in the window stands, in the order of their times: what `restore` takes."""
        self._age(now)
        return (grant.charge() for grant in self._log if grant.state != "moved")

    def adjust(self, terms: Terms, now: float) -> None:
        """Go by these terms from now on, also for what is in the window already."""
        self._age(now)
        if terms == self.terms:
            return
        if terms.span > self.terms.span:
            self.gone_until = max(self.gone_until, now - self.terms.span)
        repriced = terms.prompt_rate != self.terms.prompt_rate
        self.terms = terms
        if repriced:
            for grant in self._log:
                self._recharge(grant)

    def cost(self, order: Order) -> int:
        """Return what the order is charged; an order that fits an empty pool never costs more than that."""
        cost, limit = self.terms.cost(order.tokens, order.max_tokens), self.limits.tpm
        return cost if cost <= limit else min(cost, max(order.tokens, limit))

    def find(self, app: str, key: str | None, now: float) -> Grant | None:
        """Return the grant in the window that an app's key names."""
        grant = self._by_key.get((app, key))
        return grant if grant is not None and grant.at + self.terms.span > now else None

    def named(self, grant_id: str, now: float) -> Grant | None:
        """Return the grant in the window that an id names."""
        grant = self._by_id.get(grant_id)
        return grant if grant is not None and grant.at + self.terms.span > now else None

    def next_expiry(self, now: float) -> float | None:
        """Return when the oldest charge leaves the window, or None if nothing is charged."""
        self._age(now)
        return self._log[0].at + self.terms.span if self._log else None

    def _enter(self, grant_id: str, order: Order, cost: int, now: float) -> Grant:
        """Append a charge at ``now``; one that renews another takes over its names."""
        grant = Grant(grant_id, order, now, cost)
        self._log.append(grant)
        self._recent.append(grant)
        self._by_id[grant_id] = grant
        if order.key is not None:
            self._by_key[order.app, order.key] = grant
        self.tokens += cost
        self.open_tokens += cost
        self.requests += grant.requests
        self._recent_requests += grant.requests
        return grant

    def _settle(self, grant: Grant, used: int, *, exact: bool) -> None:
        """End an open grant whose request was sent."""
        self.open_tokens -= grant.tokens
        grant.state, grant.used, grant.exact = "settled", used, exact
        if exact or used > grant.tokens:
            self._recharge(grant)

    def _withdraw(self, grant: Grant, state: Literal["released", "moved"]) -> None:
        """End an open grant whose request was not sent: it charges nothing, and frees its key."""
        self.open_tokens -= grant.tokens
        self.requests -= grant.requests
        self._recent_requests -= grant.requests if grant.recent else 0
        grant.state, grant.requests = state, 0
        self._recharge(grant)
        if state == "released":
            self._forget_key(grant)

    def _recharge(self, grant: Grant) -> None:
        """Charge a grant what it costs by now."""
        before, grant.tokens = grant.tokens, self._due(grant)
        self.tokens += grant.tokens - before
        if grant.state == "open":
            self.open_tokens += grant.tokens - before

    def _due(self, grant: Grant) -> int:
        """Return what a grant is to be charged."""
        if grant.state in ("released", "moved"):
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
        recent, log, pace, span = self._recent, self._log, self.terms.pace, self.terms.span
        while recent and recent[0].at + pace <= now:
            grant = recent.popleft()
            grant.recent = False
            self._recent_requests -= grant.requests
        while log and log[0].at + span <= now:
            self._expire(log.popleft())

    def _expire(self, grant: Grant) -> None:
        """Forget a charge that has left the window, and its names unless they belong to a later one by now."""
        self.tokens -= grant.tokens
        self.requests -= grant.requests
        if grant.state == "open":
            self.open_tokens -= grant.tokens
            self.unreported += 1
        if self._by_id.get(grant.id) is grant:
            del self._by_id[grant.id]
            self._forget_key(grant)

    def _forget_key(self, grant: Grant) -> None:
        """Forget a grant's key, so that the same wish may be granted anew."""
        name = grant.order.app, grant.order.key
        if self._by_key.get(name) is grant:
            del self._by_key[name]
