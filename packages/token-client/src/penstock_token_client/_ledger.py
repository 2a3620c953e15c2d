"""The ledger of one pool: what was granted, and when the next order fits, safe for any phase of Azure's minute.

Azure counts in fixed minutes whose phase nobody knows, so only a log that holds for *every* interval of a minute is
safe. Everything here is synchronous and is told the time, in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from itertools import takewhile

from ._book import Book
from ._grant import Grant, Order

__all__ = ["Grant", "Ledger", "Order"]


class Ledger(Book):
    """What is charged to a pool, and when the next order fits; arguments and attributes are those of its base."""

    def can_ever_fit(self, order: Order) -> bool:
        """Tell whether an empty pool would grant the order, whatever is in force at the moment."""
        if order.requests > self.limits.rpm or order.requests > self.terms.burst:
            return False
        return self._configured.cost(order.tokens, order.max_tokens) <= self.limits.tpm

    def earliest(self, order: Order, now: float) -> float:
        """Return the exact time at which the order fits if nothing else is granted: ``now``, later, or never (inf).

        An order that exceeds the terms in force, but not the limits, fits when it has the window to itself.
        """
        self._age(now)
        held = self.find(order.app, order.key, now)
        if held is not None and (held.state == "settled" or held.at + self.terms.pace > now):
            return now
        opens = max(self._pace_opens(order.requests, now), self.terms.paused_until)
        return opens if held is not None else max(opens, self._window_opens(order, now))

    def room(self, at: float, now: float) -> tuple[int, int, int]:
        """Return what is free at a later time if nothing else is granted: tokens, requests, and requests to start."""
        self._age(now)
        terms = self.terms
        tokens, requests = terms.tpm - self.tokens, terms.rpm - self.requests
        for grant in takewhile(lambda grant: grant.at + terms.span <= at, self._log):
            tokens += grant.tokens
            requests += grant.requests
        started = takewhile(lambda grant: grant.at + terms.pace <= at, self._recent)
        return tokens, requests, terms.burst - self._recent_requests + sum(grant.requests for grant in started)

    def grant_at_a_glance(self, order: Order, now: float) -> Grant | None:
        """Charge the order if there is plainly room for it, and nothing else to look at; None says nothing.

        What fits beside sums that may be too high fits all the same.
        """
        app, tokens, max_tokens, requests, key = order
        terms = self.terms
        cost = terms.cost(tokens, max_tokens)
        if (
            self.tokens + cost <= terms.tpm
            and self.requests + requests <= terms.rpm
            and self._recent_requests + requests <= terms.burst
            and terms.paused_until <= now
            and (app, key) not in self._by_key
        ):
            return self._charge(order, cost, now)
        return None

    def grant_now(self, order: Order, now: float) -> Grant | None:
        """Charge the order if it fits."""
        return self.grant(order, now) if self.earliest(order, now) <= now else None

    def grant(self, order: Order, now: float) -> Grant:
        """Charge the order; the caller has asked `earliest` and sends its request at once."""
        held = self.find(order.app, order.key, now)
        if held is None:
            return self._charge(order, self.cost(order), now)
        if held.state != "settled":
            return self._renew(held, now)
        held.renewed = True
        return held

    def holds(self, order: Order, now: float) -> bool:
        """Tell whether the order's key names a grant in the window."""
        return self.find(order.app, order.key, now) is not None

    def settle(self, grant_id: str, used: int, now: float, *, final: bool = True) -> bool:
        """Note what a request really used, in tokens, and tell whether the grant is still in the window.

        More than was charged is always added: it was used. Less lowers the charge only in a pool that settles by the
        actual use, and only if the use is ``final``, which that of a failed request is not. The first report counts.
        """
        grant = self.named(grant_id, now)
        if grant is not None and grant.state == "open":
            self.close(grant, used, final=final)
        return grant is not None

    def close(self, grant: Grant, used: int, *, final: bool) -> None:
        """Settle a grant that is open, as `settle` does."""
        self._settle(grant, used, exact=final and self.limits.settle == "actual")
        self._tell(grant)

    def release(self, grant_id: str, now: float) -> bool:
        """Take back a grant whose request was never sent, and tell whether it is still in the window.

        Its key is forgotten: a repetition must be charged anew. A grant that has ended stays as it ended.
        """
        grant = self.named(grant_id, now)
        if grant is None:
            return False
        if grant.state == "open":
            self._withdraw(grant, "released")
            self._tell(grant)
        return True

    def _charge(self, order: Order, cost: int, now: float) -> Grant:
        """Charge an order that nothing in the window stands for yet."""
        self.granted += 1
        return self._tell(self._enter(f"{self._instance}-{self.granted}", order, cost, now))

    def _renew(self, held: Grant, now: float) -> Grant:
        """Move a charge to ``now``, for a caller whose first answer was lost and who sends only now.

        Moving forward is safe: the charge was in every window up to now and is in every window from now.
        """
        self._withdraw(held, "moved")
        grant = self._enter(held.id, held.order, self.cost(held.order), now)
        grant.renewed = True
        return self._tell(grant)

    def _window_opens(self, order: Order, now: float) -> float:
        """Return when the window has room for the order."""
        terms, cost = self.terms, self.cost(order)
        tokens = max(terms.tpm, min(cost, self.limits.tpm)) - self.tokens - cost
        requests = max(terms.rpm, order.requests) - self.requests - order.requests
        if tokens >= 0 and requests >= 0:
            return now
        for grant in self._log:
            tokens += grant.tokens
            requests += grant.requests
            if tokens >= 0 and requests >= 0:
                return grant.at + terms.span
        return math.inf

    def _pace_opens(self, requests: int, now: float) -> float:
        """Return when the sub-window has room for so many requests."""
        room = self.terms.burst - self._recent_requests - requests
        if room >= 0:
            return now
        for grant in self._recent:
            room += grant.requests
            if room >= 0:
                return grant.at + self.terms.pace
        return math.inf
