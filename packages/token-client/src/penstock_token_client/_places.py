"""The places in the line of one pool, by app and in the order of arrival; tickets and keys find them again.

A caller asks in polls. Between two polls, or when its connection broke, it is absent and keeps its place: for a moment
its turn is held for it, then it is passed over, and in the end it is forgotten.

A ticket says when its caller came. A counter that was started anew therefore puts those who come back in their old
order, without having known them. Nobody gains by inventing a ticket: it changes the order inside one's own app only.
"""

from __future__ import annotations

import bisect
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._ledger import Order
    from ._sharing import Sharing

_TICKET = re.compile(r"([0-9a-z]{1,32})-([0-9a-f]{1,12})-([0-9]{1,12})")
_COMEBACK = 60.0
"""Seconds after the start in which tickets of an earlier counter are honoured; who is silent longer has vanished."""

Rank = tuple[int, int, str]


class QueueFullError(Exception):
    """Raised when so many callers of an app wait that there is no place for another."""


class Waiter:
    """One place in the line; ``absent_since`` is None while its caller is there, ``until`` is when it gives up."""

    __slots__ = ("absent_since", "order", "rank", "since", "ticket", "until")

    def __init__(self, order: Order, rank: Rank, ticket: str, since: float) -> None:
        self.order = order
        self.rank = rank
        self.ticket = ticket
        self.since = since
        self.until = math.inf
        self.absent_since: float | None = None


class Places:
    """Everyone who waits for one pool.

    Args:
        sharing: How many may wait, and how long an absent caller is remembered.
        instance: Text that no other line uses; tickets begin with it.
        opened: The time at which the line opens.
        epoch: What to add to the times told here to get seconds that mean the same in every process.

    Attributes:
        by_ticket: Every place by its ticket, be its caller there or not.
    """

    def __init__(self, sharing: Sharing, *, instance: str, opened: float, epoch: float) -> None:
        self._sharing = sharing
        self._instance = instance
        self._opened = opened
        self._epoch = epoch
        self._count = 0
        self._latest = 0
        self._flows: dict[str, list[Waiter]] = {}
        self.by_ticket: dict[str, Waiter] = {}
        self._by_key: dict[tuple[str, str], Waiter] = {}

    def apps(self) -> list[str]:
        """Return the apps that have places."""
        return list(self._flows)

    def depths(self) -> dict[str, int]:
        """Return how many callers of each app are there and wait."""
        depths = {app: sum(waiter.absent_since is None for waiter in flow) for app, flow in self._flows.items()}
        return {app: depth for app, depth in depths.items() if depth}

    def waits(self, now: float) -> dict[str, tuple[int, float]]:
        """Return, for each app with callers that are there, how many there are and how long the first has waited."""
        there = {app: [waiter for waiter in flow if waiter.absent_since is None] for app, flow in self._flows.items()}
        return {app: (len(waiters), now - waiters[0].since) for app, waiters in there.items() if waiters}

    def there(self, app: str, near: int, most_tokens: float, now: float) -> Iterator[Waiter]:
        """Go through an app's callers who are there and ask for so few tokens, in order, as far as so many places."""
        return (
            waiter
            for waiter in self._flows.get(app, ())[:near]
            if waiter.order.tokens <= most_tokens and waiter.absent_since is None and now < waiter.until
        )

    def firsts(self, now: float) -> Iterator[Waiter]:
        """Go through the first of each app."""
        for app in self.apps():
            first = self.first(app, now)
            if first is not None:
                yield first

    def first(self, app: str, now: float) -> Waiter | None:
        """Return the first of an app who is there, or was there a moment ago."""
        vanished = []
        first = None
        for waiter in self._flows.get(app, ()):
            if self._is_forgotten(waiter, now):
                vanished.append(waiter)
            elif waiter.absent_since is None or now < waiter.absent_since + self._sharing.hold:
                first = waiter
                break
        self._remove_all(vanished)
        return first

    def add(self, order: Order, ticket: str | None, now: float) -> Waiter:
        """Make a new place: where the ticket of an earlier counter says, otherwise behind everyone of the app.

        Raises:
            QueueFullError: The app has too many places already.
        """
        self._check_depth(order.app, now)
        rank = self._earlier_rank(ticket, now) or self._next_rank(now)
        waiter = Waiter(order, rank, ticket=_write(rank), since=now)
        self.put(waiter)
        return waiter

    def put(self, waiter: Waiter) -> None:
        """Take in a place by its rank, unless it is there."""
        if waiter.ticket in self.by_ticket:
            return
        bisect.insort(self._flows.setdefault(waiter.order.app, []), waiter, key=_rank)
        self.by_ticket[waiter.ticket] = waiter
        if waiter.order.key is not None:
            self._by_key[waiter.order.app, waiter.order.key] = waiter

    def remove(self, waiter: Waiter) -> None:
        """Take a place away."""
        if self.by_ticket.get(waiter.ticket) is not waiter:
            return
        app, key = waiter.order.app, waiter.order.key
        del self.by_ticket[waiter.ticket]
        flow = self._flows[app]
        del flow[bisect.bisect_left(flow, waiter.rank, key=_rank)]
        if not flow:
            del self._flows[app]
        if key is not None and self._by_key.get((app, key)) is waiter:
            del self._by_key[app, key]

    def find(self, app: str, key: str) -> Waiter | None:
        """Return the place that an app's key names."""
        return self._by_key.get((app, key))

    def kept(self, order: Order, ticket: str | None, now: float) -> Waiter | None:
        """Find the place of a caller who was here, and asks for the same as then."""
        waiter = self.by_ticket.get(ticket) if ticket is not None else None
        if waiter is None and order.key is not None:
            waiter = self.find(order.app, order.key)
        if waiter is None or self._is_forgotten(waiter, now) or waiter.order != order:
            return None
        return waiter

    def position(self, waiter: Waiter) -> int:
        """Return how many callers of the same app wait before this one."""
        flow = self._flows.get(waiter.order.app, [])
        before = flow[: bisect.bisect_left(flow, waiter.rank, key=_rank)]
        return sum(other.absent_since is None for other in before)

    def _next_rank(self, now: float) -> Rank:
        """Return the rank of someone who comes now: behind all others, even if the clocks were set back."""
        self._count += 1
        self._latest = max(self._latest, round((now + self._epoch) * 1000))
        return self._latest, self._count, self._instance

    def _earlier_rank(self, ticket: str | None, now: float) -> Rank | None:
        """Return the rank that a ticket of an earlier counter gives, or None if it gives none here."""
        match = _TICKET.fullmatch(ticket or "")
        if match is None or match[1] == self._instance or now >= self._opened + _COMEBACK:
            return None
        rank = int(match[2], 16), int(match[3]), match[1]
        taken = _write(rank) in self.by_ticket
        return rank if not taken and rank[0] <= (now + self._epoch) * 1000 else None

    def _check_depth(self, app: str, now: float) -> None:
        """Refuse another place where there are too many, not counting those who vanished."""
        flow = self._flows.get(app, [])
        if len(flow) >= self._sharing.max_depth:
            self._remove_all([waiter for waiter in flow if self._is_forgotten(waiter, now)])
        if len(flow) >= self._sharing.max_depth:
            raise QueueFullError

    def _remove_all(self, waiters: list[Waiter]) -> None:
        """Take several places away."""
        for waiter in waiters:
            self.remove(waiter)

    def _is_forgotten(self, waiter: Waiter, now: float) -> bool:
        """Tell whether a place is gone: its caller was absent too long, or has given up."""
        absent = waiter.absent_since
        return now >= waiter.until or (absent is not None and now >= absent + self._sharing.ticket_ttl)


def _rank(waiter: Waiter) -> Rank:
    """Return what the places of an app are sorted by."""
    return waiter.rank


def _write(rank: Rank) -> str:
    """Return the ticket of a rank."""
    milliseconds, count, instance = rank
    return f"{instance}-{milliseconds:x}-{count}"
