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
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._grant import Order
    from ._sharing import Sharing

_TICKET = re.compile(r"([0-9a-z]{1,32})-([0-9a-f]{1,12})-([0-9]{1,12})")
_COMEBACK = 60.0
"""Seconds after the start in which tickets of an earlier counter are honoured; who is silent longer has vanished."""

Rank = tuple[int, int, str]


class QueueFullError(Exception):
    """Raised when so many callers of an app wait that there is no place for another."""


class Place(NamedTuple):
    """How one place stands, whole: what another process goes by.

    Attributes:
        ticket: Names it, and says where in the line it is.
        order: What its caller waits for.
        since: Since when, in seconds of the line's clock.
        absent_since: Since when its caller is absent; None while it is there.
        home: The process in which its caller polls.
        gone: Whether it is no more.
    """

    ticket: str
    order: Order
    since: float
    absent_since: float | None = None
    home: str = ""
    gone: bool = False


class Waiter:
    """One place in the line.

    Attributes:
        absent_since: Since when its caller is absent; None while it is there.
        home: The process in which its caller polls, if there are several.
        until: When it gives up.
    """

    __slots__ = ("absent_since", "home", "order", "rank", "since", "ticket", "until")

    def __init__(self, order: Order, rank: Rank, ticket: str, since: float) -> None:
        self.order = order
        self.rank = rank
        self.ticket = ticket
        self.since = since
        self.until = math.inf
        self.home = ""
        self.absent_since: float | None = None

    def place(self, *, gone: bool = False) -> Place:
        """Return how it stands, as something that no longer changes."""
        return Place(self.ticket, self.order, self.since, self.absent_since, self.home, gone)


class Places:
    """Everyone who waits for one pool.

    Args:
        sharing: How many may wait, and how long an absent caller is remembered.
        instance: Text that no other line uses; tickets begin with it.
        opened: The time at which the line opens.
        epoch: What to add to the times told here to get seconds that mean the same in every process.
        on_place: Is told of each change of a place, in order.

    Attributes:
        by_ticket: Every place by its ticket, be its caller there or not.
        latest: The millisecond of the last new place, and how many new places there were.
    """

    def __init__(
        self,
        sharing: Sharing,
        *,
        instance: str,
        opened: float,
        epoch: float,
        on_place: Callable[[Place], None] | None = None,
    ) -> None:
        self._sharing = sharing
        self._instance = instance
        self._opened = opened
        self._epoch = epoch
        self._on_place = on_place
        self.latest = 0, 0
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

    def follow(self, place: Place) -> None:
        """Take over how one place stands by the word of another process."""
        waiter = self.by_ticket.get(place.ticket)
        if waiter is not None and place.gone:
            self.remove(waiter)
        if place.gone:
            return
        if waiter is None:
            waiter = Waiter(place.order, _read(place.ticket), place.ticket, place.since)
            self.put(waiter)
        waiter.absent_since, waiter.home = place.absent_since, place.home
        self.tell(waiter)

    def tell(self, waiter: Waiter, *, gone: bool = False) -> None:
        """Tell of a place that changed."""
        if self._on_place is not None:
            self._on_place(waiter.place(gone=gone))

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
        self.tell(waiter, gone=True)

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
        latest, count = self.latest
        self.latest = max(latest, round((now + self._epoch) * 1000)), count + 1
        return *self.latest, self._instance

    def _earlier_rank(self, ticket: str | None, now: float) -> Rank | None:
        """Return the rank that a ticket of an earlier counter gives, or None if it gives none here."""
        if ticket is None or not _TICKET.fullmatch(ticket) or now >= self._opened + _COMEBACK:
            return None
        milliseconds, _, instance = rank = _read(ticket)
        if instance == self._instance or milliseconds > (now + self._epoch) * 1000 or _write(rank) in self.by_ticket:
            return None
        return rank

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


def _read(ticket: str) -> Rank:
    """Return the rank that a ticket gives."""
    instance, milliseconds, count = ticket.split("-")
    return int(milliseconds, 16), int(count), instance


def _write(rank: Rank) -> str:
    """Return the ticket of a rank."""
    milliseconds, count, instance = rank
    return f"{instance}-{milliseconds:x}-{count}"
