"""Who waits for a pool's ledger, and who is next: apps in turn by weight, callers of one app as they came.

The first caller of the app whose turn it is heads the line. Until its order fits, smaller orders of its own app and of
others may pass it, if they provably do not move its start. Those who waited start evenly spaced, not in bursts: a burst
reaches Azure late and in disorder, because the workers that send it have other things to do. Who need not wait starts
at once. Everything here is synchronous and is told the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ._backfill import Slack
from ._fairness import FairShares
from ._places import Places, QueueFullError, Waiter
from ._sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ._ledger import Grant, Ledger, Order
    from ._places import Place

__all__ = ["QueueFullError", "Turns", "WaitQueue", "Waiter"]

_NEAR = 200
"""Places of an app's line from which a caller may pass the head."""


class Turns(NamedTuple):
    """Who is next, beside the places themselves: what another process goes by.

    Attributes:
        app: The app whose turn it is.
        next_start: When the next of those who waited may start.
        virtual: Virtual time.
        clocks: The clock of each app that has one.
        latest: The millisecond of the last new place, and how many new places there were.
    """

    app: str | None
    next_start: float
    virtual: float
    clocks: Mapping[str, float]
    latest: tuple[int, int]


class WaitQueue:
    """The line in front of one ledger.

    Args:
        ledger: Where grants come from; nothing else grants from it.
        instance: Text that no other queue uses; tickets begin with it.
        sharing: The apps' weights, and how much the line bears.
        opened: The time at which the line opens.
        epoch: What to add to the times told here to get seconds that mean the same in every process, so that tickets
            keep the order of arrival when the process is started anew.
        on_place: Is told of each change of a place, in order.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        instance: str,
        sharing: Sharing | None = None,
        opened: float = 0.0,
        epoch: float = 0.0,
        on_place: Callable[[Place], None] | None = None,
    ) -> None:
        self.sharing = Sharing() if sharing is None else sharing
        self._ledger = ledger
        self._places = Places(self.sharing, instance=instance, opened=opened, epoch=epoch, on_place=on_place)
        self._shares = FairShares(self.sharing.weights)
        self._turn: str | None = None
        self._next_start = -math.inf

    def __len__(self) -> int:
        """Return how many callers are there and wait."""
        return sum(self.depths().values())

    @property
    def idle(self) -> bool:
        """Whether nobody has a place, neither one who is there nor one who is absent."""
        return not self._places.by_ticket

    def depths(self) -> dict[str, int]:
        """Return how many callers of each app are there and wait."""
        return self._places.depths()

    def waits(self, now: float) -> dict[str, tuple[int, float]]:
        """Return, for each app that waits, how many of its callers do and for how many seconds the first has."""
        return self._places.waits(now)

    def grant_now(self, order: Order, now: float) -> Grant | None:
        """Grant the order if it fits and nobody waits; one that its key shows to be charged already passes the line."""
        if not self.idle and self.head(now) is not None and not self._ledger.holds(order, now):
            return None
        return self._ledger.grant_now(order, now)

    def turns(self) -> Turns:
        """Return who is next."""
        return Turns(self._turn, self._next_start, *self._shares.clocks(), self._places.latest)

    def follow(self, turns: Turns) -> None:
        """Go by what another process says of who is next."""
        self._turn, self._next_start, self._places.latest = turns.app, turns.next_start, turns.latest
        self._shares.follow(turns.virtual, turns.clocks)

    def follow_place(self, place: Place) -> None:
        """Go by what another process says of one place."""
        self._places.follow(place)

    def place(self, ticket: str) -> Waiter | None:
        """Return the place that a ticket names."""
        return self._places.by_ticket.get(ticket)

    def join(
        self,
        order: Order,
        now: float,
        ticket: str | None = None,
        *,
        deadline: float | None = None,
        home: str = "",
    ) -> Waiter:
        """Return the caller's place: the one that its ticket or its key kept, otherwise a new one.

        Args:
            order: What the caller waits for.
            now: The time.
            ticket: What an earlier answer gave, maybe that of an earlier process.
            deadline: The time at which the caller gives up; its place ends then.
            home: The process in which the caller polls, if there are several.

        Raises:
            QueueFullError: The caller has no place, and its app has too many already.
        """
        if self.idle:
            self._begin_anew()
        waiter = self._places.kept(order, ticket, now)
        if waiter is None:
            waiter = self._places.add(order, ticket, now)
        waiter.absent_since = None
        waiter.until = math.inf if deadline is None else deadline
        waiter.home = home
        self._places.tell(waiter)
        return waiter

    def step_out(self, waiter: Waiter, now: float) -> None:
        """Note that the caller is absent; its place is kept for a while, unless it is gone."""
        waiter.absent_since = now
        if self.place(waiter.ticket) is waiter:
            self._places.tell(waiter)

    def put_back(self, waiter: Waiter, now: float) -> None:
        """Give a caller whose grant did not reach it its place again; it is absent."""
        waiter.absent_since = now
        self._places.put(waiter)
        self._places.tell(waiter)

    def take_over(self, waiter: Waiter, home: str) -> None:
        """Note that whoever is in a place is answered by another process from now on."""
        waiter.home = home
        self._places.tell(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Give up the place."""
        self._places.remove(waiter)

    def find(self, app: str, key: str) -> Waiter | None:
        """Return the place that an app's key names."""
        return self._places.find(app, key)

    def position(self, waiter: Waiter) -> int:
        """Return how many callers of the same app wait before this one."""
        return self._places.position(waiter)

    def head(self, now: float) -> Waiter | None:
        """Return who holds the line: the first caller of the app whose turn it is.

        An app keeps its turn until its order starts, so that nobody who comes later moves a start that is foreseen.
        """
        head = None if self._turn is None else self._places.first(self._turn, now)
        if head is None:
            head = min(self._places.firsts(now), key=self._tag, default=None)
            self._turn = None if head is None else head.order.app
            if head is not None:
                self._shares.elect(head.order.app)
        return head

    def grants(self, now: float) -> Iterator[tuple[Waiter, Grant]]:
        """Grant to the head, and to whoever may pass it, for as long as somebody fits."""
        while (head := self.head(now)) is not None:
            if head.absent_since is None and self._opens(head, now) <= now:
                self._shares.charge(head.order.app, self._fresh_tokens(head, now))
                self._turn = None
                yield head, self._start(head, now)
                continue
            passing = next((waiter for waiter, at in self._passing(head, now) if at <= now), None)
            if passing is None:
                return
            self._shares.charge(passing.order.app, self._ledger.cost(passing.order))
            yield passing, self._start(passing, now)

    def wake_at(self, now: float) -> float | None:
        """Return the exact time at which `grants` has something to do, or None if nobody holds the line."""
        head = self.head(now)
        if head is None:
            return None
        times = [self._opens(head, now)] if head.absent_since is None else []
        times += [at for _, at in self._passing(head, now)]
        for first in self._places.firsts(now):
            times.append(first.until)
            if first.absent_since is not None:
                times.append(first.absent_since + self.sharing.hold)
        return min(times)

    def _begin_anew(self) -> None:
        """Let all apps be equal, and none have its turn, because nobody waited."""
        self._turn = None
        self._shares.forget()

    def _start(self, waiter: Waiter, now: float) -> Grant:
        """Grant to a caller who waited."""
        self._places.remove(waiter)
        self._next_start = now + self._ledger.terms.gap * waiter.order.requests
        return self._ledger.grant(waiter.order, now)

    def _opens(self, waiter: Waiter, now: float) -> float:
        """Return when a caller may start: its order fits, and the start before it is a gap ago."""
        return max(self._ledger.earliest(waiter.order, now), self._next_start)

    def _passing(self, head: Waiter, now: float) -> list[tuple[Waiter, float]]:
        """Return who may pass the head, of each app the first who may, the most entitled first, and when."""
        if len(self._places.by_ticket) == 1:
            return []
        slack = Slack.beside(head.order, self._opens(head, now), self._ledger, now)
        if not slack.admits(self._ledger, self._next_start, now):
            return []
        found = (self._first_passing(app, head, slack, now) for app in self._places.apps())
        return sorted((passing for passing in found if passing is not None), key=lambda passing: self._tag(passing[0]))

    def _first_passing(self, app: str, head: Waiter, slack: Slack, now: float) -> tuple[Waiter, float] | None:
        """Return the first of an app's callers who may pass the head, of those who stand near enough, and when."""
        for waiter in self._places.there(app, _NEAR, slack.most_tokens, now):
            if waiter is not head:
                at = slack.passes_at(waiter.order, self._ledger, self._next_start, now)
                if at is not None:
                    return waiter, at
        return None

    def _tag(self, waiter: Waiter) -> tuple[float, tuple[int, int, str]]:
        """Return what decides between the first callers of several apps: the shares, then who came first."""
        return self._shares.start(waiter.order.app), waiter.rank

    def _fresh_tokens(self, waiter: Waiter, now: float) -> int:
        """Return what a start costs its app: nothing if its key shows that it is charged already."""
        return 0 if self._ledger.holds(waiter.order, now) else self._ledger.cost(waiter.order)
