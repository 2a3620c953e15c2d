"""Those who poll at this counter, and whose places in the line every counter knows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock_token_client.accounting import QueueFullError

if TYPE_CHECKING:
    from penstock_token_client.accounting import Grant, Order, Place, Waiter

    from ._replica import Replica
    from ._words import Granted


class SharedPoll:
    """One caller's wait for one answer.

    Attributes:
        ticket: What names its place.
        order: What it waits for.
        renewed: Whether an earlier answer may have brought its grant already.
        future: Tells the grant, or None when the poll is over without one.
    """

    __slots__ = ("future", "order", "renewed", "ticket")

    def __init__(self, ticket: str, order: Order) -> None:
        self.ticket = ticket
        self.order = order
        self.renewed = False
        self.future: asyncio.Future[Grant | None] = asyncio.get_running_loop().create_future()


class SharedPolls:
    """The polls of one pool at this counter.

    Args:
        replica: The pool.
        counter: This counter's name.

    Attributes:
        lost: The tickets of polls whose places are to be found again.
    """

    def __init__(self, replica: Replica, counter: str) -> None:
        self.lost: set[str] = set()
        self._replica = replica
        self._counter = counter
        self._polls: dict[str, SharedPoll] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._polls)

    def __contains__(self, ticket: str) -> bool:
        """Tell whether somebody waits in a place."""
        return ticket in self._polls

    def all(self) -> list[SharedPoll]:
        """Return the polls."""
        return list(self._polls.values())

    def begin(self, waiter: Waiter) -> SharedPoll:
        """Begin a poll in a place; an earlier one in the same place is over."""
        self.end(waiter.ticket)
        poll = self._polls[waiter.ticket] = SharedPoll(waiter.ticket, waiter.order)
        return poll

    def end(self, ticket: str, grant: Grant | None = None) -> None:
        """End the poll in a place, if there is one."""
        poll = self._polls.pop(ticket, None)
        if poll is not None:
            poll.future.set_result(grant)

    def cancel(self, poll: SharedPoll) -> None:
        """End a poll from the caller's side."""
        if self._polls.get(poll.ticket) is poll:
            self.end(poll.ticket)

    def deliver(self, word: Granted, grant: Grant, *, late: bool) -> bool:
        """Tell a caller of its grant; false if it has gone, or if the grant is late, for which the caller waits on."""
        poll = self._polls.get(word.ticket)
        self.lost.discard(word.ticket)
        if poll is not None and late:
            self.lost.add(word.ticket)
        if poll is None or late:
            return False
        poll.renewed = word.renewed
        self.end(word.ticket, grant)
        return True

    def note(self, place: Place) -> None:
        """See to the poll whose place another counter has changed."""
        if place.ticket not in self._polls:
            return
        if place.gone or place.absent_since is not None:
            self.lost.add(place.ticket)
        elif place.home != self._counter:
            self.end(place.ticket)

    def lose_all(self) -> None:
        """Note that nobody's place is certain any more."""
        self.lost.update(self._polls)

    def find_places(self, now: float) -> None:
        """Give those who lost their places what is left of them, in the order of their tickets."""
        polls = [self._polls[ticket] for ticket in sorted(self.lost) if ticket in self._polls]
        self.lost.clear()
        for poll in polls:
            waiter = self._replica.pool.queue.place(poll.ticket)
            if waiter is not None and waiter.absent_since is None:
                self.note(waiter.place())
            else:
                self._join(poll, now)

    def _join(self, poll: SharedPoll, now: float) -> None:
        """Take a place for a poll: its own, as far as anybody remembers."""
        try:
            waiter = self._replica.pool.queue.join(poll.order, now, poll.ticket, home=self._counter)
        except QueueFullError:
            self.end(poll.ticket)
            return
        if waiter.ticket != poll.ticket:
            del self._polls[poll.ticket]
            self.end(waiter.ticket)
            poll.ticket = waiter.ticket
            self._polls[poll.ticket] = poll
