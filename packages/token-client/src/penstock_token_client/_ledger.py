"""The ledger of one pool: an exact sliding log of what was granted, safe for any phase of Azure's minute.

Azure counts in fixed minutes whose phase nobody knows, so only a log that holds for *every* interval of a minute is
safe. A charge is what Azure judges at arrival and stays for the whole window; what became of the request afterwards
does not lower it unless the pool says so. Everything here is synchronous and is told the time, in seconds of a
monotonic clock; each operation is amortised O(1).
"""

from __future__ import annotations

import math
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING

from ._grant import Charge, Grant, Order, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._limits import Limits

__all__ = ["Grant", "Ledger", "Order", "State"]


class Ledger:
    """What is charged to a pool, and when the next order fits.

    Args:
        limits: The pool's limits.
        instance: Text that no other ledger uses; ids begin with it.
        now: The time at which the ledger starts.
        assume_full: Start as if the whole window were used, because nobody knows what was granted before.
        on_change: Is told of each change of a grant, in order; what merely ages out is no change.

    Attributes:
        tokens: Tokens charged in the window.
        requests: Requests charged in the window.
        open_tokens: The part of ``tokens`` whose use is not reported yet.
        granted: Grants given since the start.
        span: Seconds for which a charge stays, window and margin.
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
        self.span = limits.window + limits.margin
        self.tokens = self.requests = self.open_tokens = self.granted = self.unreported = 0
        self._burst, self._pace = limits.pace()
        self._instance = instance
        self._on_change = on_change
        self._log: deque[Grant] = deque()
        self._recent: deque[Grant] = deque()
        self._recent_requests = 0
        self._by_id: dict[str, Grant] = {}
        self._by_key: dict[tuple[str, str], Grant] = {}
        if assume_full:
            self.fill(now)

    def fill(self, now: float) -> None:
        """Charge the whole window, because nobody knows what was granted before ``now``."""
        everything = Order(app="", tokens=self.limits.tpm, requests=self.limits.rpm)
        self._enter(f"{self._instance}-0", everything, now).state = State.SETTLED
        self.open_tokens -= everything.tokens

    def restore(self, charges: Iterable[Charge], now: float) -> None:
        """Take over what another ledger of this pool charged, before anything is granted here.

        Args:
            charges: How each grant stood last, in the order of their times, which are times of this ledger's clock.
            now: The time, not before any of them.
        """
        for charge in charges:
            if charge.at + self.span > now:
                self._amend(self._enter(charge.id, charge.order, charge.at, renewed=True), charge)
        self._age(now)

    def charges(self, now: float) -> Iterator[Charge]:
        """Return how each grant in the window stands, in the order of their times: what `restore` takes."""
        self._age(now)
        return (grant.charge() for grant in self._log if grant.state is not State.MOVED)

    def can_ever_fit(self, order: Order) -> bool:
        """Tell whether an empty pool would grant the order."""
        return order.tokens <= self.limits.tpm and order.requests <= min(self.limits.rpm, self._burst)

    def earliest(self, order: Order, now: float) -> float:
        """Return the exact time at which the order fits if nothing else is granted: ``now``, later, or never (inf)."""
        self._age(now)
        held = self._held(order)
        if held is None:
            return max(self._window_opens(order, now), self._pace_opens(order.requests, now))
        if held.state is State.SETTLED or held.paced_until > now:
            return now
        return self._pace_opens(order.requests, now)

    def room(self, at: float, now: float) -> tuple[int, int, int]:
        """Return what is free at a later time if nothing else is granted: tokens, requests, and requests to start."""
        self._age(now)
        tokens, requests = self.limits.tpm - self.tokens, self.limits.rpm - self.requests
        for grant in takewhile(lambda grant: grant.expires <= at, self._log):
            tokens += grant.tokens
            requests += grant.requests
        started = takewhile(lambda grant: grant.paced_until <= at, self._recent)
        return tokens, requests, self._burst - self._recent_requests + sum(grant.requests for grant in started)

    def grant(self, order: Order, now: float) -> Grant:
        """Charge the order; the caller has asked `earliest` and sends its request at once."""
        self._age(now)
        held = self._held(order)
        if held is not None:
            return held if held.state is State.SETTLED else self._renew(held, now)
        self.granted += 1
        return self._tell(self._enter(f"{self._instance}-{self.granted}", order, now))

    def holds(self, order: Order, now: float) -> bool:
        """Tell whether the order's key names a grant in the window."""
        self._age(now)
        return self._held(order) is not None

    def find(self, app: str, key: str, now: float) -> Grant | None:
        """Return the grant in the window that an app's key names."""
        self._age(now)
        return self._by_key.get((app, key))

    def owner(self, grant_id: str, now: float) -> str | None:
        """Return the app that a grant in the window belongs to."""
        self._age(now)
        grant = self._by_id.get(grant_id)
        return None if grant is None else grant.order.app

    def settle(self, grant_id: str, used: int, now: float, *, final: bool = True) -> bool:
        """Note what a request really used, in tokens, and tell whether the grant is still in the window.

        More than was charged is always added: it was used. Less lowers the charge only in a pool that settles by the
        actual use, and only if the use is ``final``, which that of a failed request is not. The first report counts.
        """
        self._age(now)
        grant = self._by_id.get(grant_id)
        if grant is None:
            return False
        if grant.state is State.OPEN:
            self.open_tokens -= grant.tokens
            grant.state = State.SETTLED
            if used > grant.tokens or (final and self.limits.settle == "actual"):
                self.tokens += used - grant.tokens
                grant.tokens = used
            self._tell(grant)
        return True

    def release(self, grant_id: str, now: float) -> bool:
        """Take back a grant whose request was never sent, and tell whether it is still in the window.

        Its key is forgotten: a repetition must be charged anew. A grant that has ended stays as it ended.
        """
        self._age(now)
        grant = self._by_id.get(grant_id)
        if grant is None:
            return False
        if grant.state is State.OPEN:
            self.open_tokens -= grant.tokens
            self._forget_key(grant)
            self._void(grant, State.RELEASED, now)
            self._tell(grant)
        return True

    def next_expiry(self, now: float) -> float | None:
        """Return when the oldest charge leaves the window, or None if nothing is charged."""
        self._age(now)
        return self._log[0].expires if self._log else None

    def _held(self, order: Order) -> Grant | None:
        """Return the grant that the order's key names."""
        return None if order.key is None else self._by_key.get((order.app, order.key))

    def _enter(self, grant_id: str, order: Order, now: float, *, renewed: bool = False) -> Grant:
        """Append a charge at ``now``."""
        grant = Grant(grant_id, order, at=now, expires=now + self.span, paced_until=now + self._pace, renewed=renewed)
        self._log.append(grant)
        self._recent.append(grant)
        self._by_id[grant_id] = grant
        if order.key is not None:
            self._by_key[order.app, order.key] = grant
        self.tokens += grant.tokens
        self.open_tokens += grant.tokens
        self.requests += grant.requests
        self._recent_requests += grant.requests
        return grant

    def _renew(self, held: Grant, now: float) -> Grant:
        """Move a charge to ``now``, for a caller whose first answer was lost and who sends only now.

        Moving forward is safe: the charge was in every window up to now and is in every window from now.
        """
        self.open_tokens -= held.tokens
        self._void(held, State.MOVED, now)
        return self._tell(self._enter(held.id, held.order, now, renewed=True))

    def _tell(self, grant: Grant) -> Grant:
        """Tell of a grant that changed."""
        if self._on_change is not None:
            self._on_change(grant.charge())
        return grant

    def _amend(self, grant: Grant, charge: Charge) -> None:
        """Bring a grant that was just entered to how it stood last."""
        if charge.state is State.OPEN:
            return
        self.open_tokens -= grant.tokens
        self.tokens += charge.tokens - grant.tokens
        self.requests += charge.requests - grant.requests
        self._recent_requests += charge.requests - grant.requests
        grant.tokens, grant.requests, grant.state = charge.tokens, charge.requests, charge.state
        if charge.state is State.RELEASED:
            self._forget_key(grant)

    def _void(self, grant: Grant, state: State, now: float) -> None:
        """Empty a charge; the log drops it when its time comes."""
        if grant.paced_until > now:
            self._recent_requests -= grant.requests
        self.tokens -= grant.tokens
        self.requests -= grant.requests
        grant.tokens = grant.requests = 0
        grant.state = state

    def _age(self, now: float) -> None:
        """Drop what has left the window and the sub-window."""
        recent = self._recent
        while recent and recent[0].paced_until <= now:
            self._recent_requests -= recent.popleft().requests
        log = self._log
        while log and log[0].expires <= now:
            self._expire(log.popleft())

    def _expire(self, grant: Grant) -> None:
        """Forget a charge that has left the window."""
        self.tokens -= grant.tokens
        self.requests -= grant.requests
        if grant.state is State.OPEN:
            self.open_tokens -= grant.tokens
            self.unreported += 1
        if self._by_id.get(grant.id) is grant:
            del self._by_id[grant.id]
            self._forget_key(grant)

    def _forget_key(self, grant: Grant) -> None:
        """Make the grant's key unknown, unless it names a later grant by now."""
        key = grant.order.key
        if key is not None and self._by_key.get((grant.order.app, key)) is grant:
            del self._by_key[grant.order.app, key]

    def _window_opens(self, order: Order, now: float) -> float:
        """Return when the window has room for the order."""
        tokens = self.limits.tpm - self.tokens - order.tokens
        requests = self.limits.rpm - self.requests - order.requests
        if tokens >= 0 and requests >= 0:
            return now
        for grant in self._log:
            tokens += grant.tokens
            requests += grant.requests
            if tokens >= 0 and requests >= 0:
                return grant.expires
        return math.inf

    def _pace_opens(self, requests: int, now: float) -> float:
        """Return when the sub-window has room for so many requests."""
        room = self._burst - self._recent_requests - requests
        if room >= 0:
            return now
        for grant in self._recent:
            room += grant.requests
            if room >= 0:
                return grant.paced_until
        return math.inf
