"""The turns that one counter takes at one pool of a store: know everything, decide, have it kept, and only then tell.

If the store did not keep it, or nobody knows, all of it is decided anew on what the store then says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from ._agenda import Agenda
from ._alarm import Alarm
from ._decision import errand
from ._knowledge import Knowledge
from ._store import StoreAwayError
from ._store_clock import StoreClock
from ._store_facts import Busy
from ._store_standing import StoreStanding
from ._words import Granted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock_token_client.accounting import Grant

    from ._decision import Decision
    from ._replica import Replica
    from ._shared_polls import SharedPolls
    from ._store import Store
    from ._store_facts import Taken

_LEASE = 2.0
"""Seconds after which the turn of a counter that was killed in it ends."""

_BUSY = 0.01
"""Seconds after which to ask again for a turn that another counter has."""

_BEAT = 1.0
"""Seconds after which a counter whose callers wait says that it lives."""

_SILENT = 3.0
"""Seconds of silence after which a counter's callers are taken to be absent."""

_RETRY = 0.5
"""Seconds between two tries to reach a store that is away."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class Turns:
    """Takes turns.

    Args:
        name: The pool's name.
        replica: The pool, as it is known here.
        polls: Those who wait here.
        store: Where the pool is kept.
        assume_idle: If the store does not know the pool, grant at once.
        in_time: Seconds within which a grant must be kept and told.
        monotonic: Seconds that never go back.

    Attributes:
        agenda: What is to be decided.
        knowledge: Whether this counter knows what the store knows.
        standing: How it stands with the store.
        granting: Whether anything is granted to those who wait.
    """

    def __init__(
        self,
        name: str,
        replica: Replica,
        polls: SharedPolls,
        store: Store,
        *,
        assume_idle: bool,
        in_time: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.granting = True
        self._name = name
        self._replica = replica
        self._polls = polls
        self._store = store
        self.standing = StoreStanding(name, store.address)
        self._clock = StoreClock(monotonic)
        self._alarm = Alarm()
        self.agenda = Agenda(
            replica, polls, counter=store.counter, clock=self._clock, in_time=in_time, wake=self._alarm.ring
        )
        self.knowledge = Knowledge(name, replica, store, assume_idle=assume_idle)
        self._wake_at = 0.0
        self._closing = False
        self._working: asyncio.Task[None] | None = None

    @property
    def serving(self) -> bool:
        """Whether decisions are made: the store can be reached."""
        return self.standing.state == "connected" and self._working is not None and not self._working.done()

    @property
    def alive(self) -> bool:
        """Whether no fault of ours has ended the turns, which only a new process takes up again."""
        return self._working is None or self._closing or not self._working.done()

    def clock(self) -> float:
        """Return the time by the store's clock, and rather too early."""
        return self._clock.earliest()

    def start(self) -> None:
        """Begin."""
        self._working = asyncio.create_task(self._work())
        self._working.add_done_callback(self._ended)
        self.wake()

    def wake(self) -> None:
        """Look at the store soon, because something has changed there."""
        self._alarm.ring()

    async def decided(self, decision: Decision[_T, _R], patience: float) -> _R:
        """Have something decided, as soon as the store can be reached, and return what is told of it.

        Raises:
            StoreAwayError: It could not be for too long.
        """
        if self._working is not None and self._working.done():
            self._working.result()
        self.agenda.add(decision)
        try:
            async with asyncio.timeout(patience):
                return await decision.future
        except TimeoutError:
            raise StoreAwayError from None

    async def aclose(self) -> None:
        """Decide what is left to decide, if the store can be reached, and end."""
        if self._working is None:
            return
        if self.serving:
            last = errand(lambda _: None)
            self.agenda.add(last)
            await asyncio.wait([last.future, self._working], timeout=_LEASE, return_when=asyncio.FIRST_COMPLETED)
        self._closing = True
        self._working.cancel()
        self.wake()
        await asyncio.wait([self._working])
        self._alarm.put_off()

    async def _work(self) -> None:
        """Take a turn when there is something to decide, and look when there is news."""
        while not self._closing:  # the store's library may turn a cancellation into an error of its own
            await self._alarm.wait()
            try:
                await (self._turn() if self._wants_a_turn() else self._look())
            except StoreAwayError as error:
                self.knowledge.certain = False
                self.standing.away(error.reason)
                self._alarm.ring_in(_RETRY)

    def _ended(self, working: asyncio.Task[None]) -> None:
        """Say so if a fault of ours has ended the turns."""
        fault = None if working.cancelled() else working.exception()
        if fault is not None:
            self.standing.broken(fault)

    def _wants_a_turn(self) -> bool:
        """Tell whether there is something to decide."""
        if len(self.agenda) or self._polls.lost or not self.knowledge.certain:
            return True
        return len(self._polls) > 0 and self.clock() >= min(self._wake_at, self._next_beat())

    async def _look(self) -> None:
        """Take over what others decided."""
        began = self._clock.monotonic()
        taken = await self._store.look(self._name, self._replica.version)
        self._set_clock(taken.now, began)
        self.knowledge.certain = self.knowledge.is_continued(taken)
        if self.knowledge.certain:
            self._follow(taken)
            self._plan(taken.now)
        else:
            self.wake()

    async def _turn(self) -> None:
        """Know everything, decide what there is to decide, have it kept, and tell."""
        began = self._clock.monotonic()
        taken = await self._store.take(self._name, self._replica.version, lease=_LEASE)
        if isinstance(taken, Busy):
            self._alarm.ring_in(min(taken.seconds, _BUSY))
            return
        self._set_clock(taken.now, began)
        if not await self._catch_up(taken):
            self.wake()
            return
        decisions = self.agenda.take()
        try:
            given = await self._decide(taken, decisions)
        except StoreAwayError:
            self.agenda.put_back(decisions)
            raise
        if given is None:
            self.knowledge.certain = False
            self.agenda.put_back(decisions)
            self.wake()
            return
        self.knowledge.confirm(taken.server)
        self.standing.connected()
        self.agenda.tell(decisions, taken.now)
        for word, grant in given:
            self.agenda.deliver(word, grant)
        self._plan(taken.now)
        await self._store.inspect(self._name, taken.server)

    async def _decide(
        self, taken: Taken, decisions: Iterable[Decision[Any, Any]]
    ) -> list[tuple[Granted, Grant]] | None:
        """Decide; return what was granted to those who wait, or None if it was not kept."""
        now = taken.now
        beat = taken.version is None or (len(self._polls) > 0 and now >= self._next_beat())
        self._replica.begin()
        if self.knowledge.is_too_little(taken):
            self._replica.pool.fill(now)
        for decision in decisions:
            decision.decide(now)
        self._polls.find_places(now)
        self._dismiss(now)
        given = self._replica.grants(now) if self.granting else []
        self._replica.pool.queue.wake_at(now)  # whoever heads the line by now, the others are told
        changes = self._replica.changes(taken, beat=beat)
        if changes is None:
            await self._store.let_go(self._name)
            return given
        kept = await self._store.commit(self._name, changes)
        self._replica.version += 1
        return given if kept else None

    def _set_clock(self, now: float, began: float) -> None:
        """Note the store's time; if its clock was put forward, charges would leave the window too early."""
        seconds = self._clock.set(now, began)
        if seconds > 0:
            self.knowledge.doubt()
            self.standing.put_forward(seconds)

    async def _catch_up(self, taken: Taken) -> bool:
        """Know what the store knows; tell whether that is so."""
        if self.knowledge.is_continued(taken):
            self._follow(taken)
            return True
        self._polls.lose_all()
        return await self.knowledge.load(taken)

    def _follow(self, taken: Taken) -> None:
        """Take over what others decided, and tell those who poll here."""
        for word in self._replica.follow(taken.entries or ()):
            if isinstance(word, Granted):
                grant = self._replica.pool.ledger.named(word.grant_id, taken.now)
                if grant is not None:
                    self.agenda.deliver(word, grant)
            else:
                self._polls.note(word)

    def _dismiss(self, now: float) -> None:
        """Let those be absent whose counter is silent, unless it is we who did not listen."""
        if now < self._next_beat() + _BEAT:
            self._replica.dismiss(now - _SILENT, now)

    def _next_beat(self) -> float:
        """Return when this counter is to say next that it lives."""
        return self._replica.beats.get(self._store.counter, 0.0) + _BEAT

    def _plan(self, now: float) -> None:
        """Wake up when somebody who waits may start, and in time to say that this counter lives."""
        if not len(self._polls):
            return
        wake_at = self._replica.pool.queue.wake_at(now)
        self._wake_at = self._next_beat() if wake_at is None else wake_at
        self._alarm.ring_in(min(self._wake_at, self._next_beat()) - self.clock())
