"""Three worlds that are to agree on everything: a counter in memory, one with a journal, and several with a store."""

from __future__ import annotations

import asyncio
import dataclasses
import runpy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_token_client import Limits, Sharing
from penstock_token_client.accounting import Grant, Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from store_worlds import CLOCK, EPOCH, Alone, Together

    from penstock_token_client.accounting import Pool
    from penstock_token_counter._pool_gate import Poll, PoolGate

    Asked = Callable[[int, PoolGate], Awaitable[Any]]
else:
    WORLDS = runpy.run_path(str(Path(__file__).with_name("store_worlds.py")))
    CLOCK, EPOCH = WORLDS["CLOCK"], WORLDS["EPOCH"]
    Alone, Together = WORLDS["Alone"], WORLDS["Together"]

__all__ = ["CLOCK", "COUNTERS", "OVER", "Agreement", "stand"]

SHARING = Sharing(weights={"a": 1, "b": 4}, hold=0.25, ticket_ttl=5.0)
COUNTERS = 3
WAITS, OVER = "waits", "over"
"""How it stands with a poll that has brought nothing."""


@dataclasses.dataclass(eq=False)
class Caller:
    """Somebody who waits, or waited, in every world."""

    order: Order
    polls: list[Poll]
    at: int
    absent: bool = False

    @property
    def rank(self) -> tuple[int, int]:
        """Where in the line it is, by what its ticket says."""
        _, milliseconds, count = self.polls[0].ticket.split("-")
        return int(milliseconds, 16), int(count)


class Agreement:
    """Does the same in every world, and sees that every world says the same of it."""

    def begin(self, limits: Limits, url: str) -> None:
        """Begin a history."""
        self.runner = asyncio.Runner()
        self.now = EPOCH
        self.callers: list[Caller] = []
        self.answered: list[tuple[Caller, list[Grant]]] = []  # not long ago
        self.ids: dict[str, list[str]] = {}  # of the same grant in every world, by that in memory
        self.keys: list[tuple[str, str]] = []
        self.memory = Alone(limits, SHARING, self.clock)
        self.journal = Alone(limits, SHARING, self.clock, journal=True)
        self.store = Together(limits, SHARING, self.clock, url, COUNTERS)
        self.worlds: list[Alone | Together] = [self.memory, self.journal, self.store]
        self.run(self.store.tell_the_time())
        for world in (self.memory, self.journal):
            self.run(world.begin(idle=True))
        self.run(self.store.turn(0))

    def end(self) -> None:
        """End it, if it has begun."""
        if hasattr(self, "worlds"):
            for world in self.worlds:
                self.run(world.aclose())
            self.runner.close()

    def clock(self) -> float:
        """Return the time in every world."""
        return self.now

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Have something done in the loop that all worlds share."""
        return self.runner.run(coroutine)

    def see_the_books(self) -> None:
        """See that everybody counts the same."""
        if hasattr(self, "worlds"):
            books = [self.books(pool) for world in self.worlds for pool in world.pools]
            assert books == [books[0]] * len(books)

    def books(self, pool: Pool) -> tuple[Any, ...]:
        """Return what a pool's books say."""
        ledger = pool.ledger
        ledger.next_expiry(self.now)
        return ledger.tokens, ledger.requests, ledger.open_tokens, pool.queue.depths()

    def ask_for(self, order: Order, at: int, wait: int, tickets: list[Any] | None = None) -> None:
        """Have somebody ask, perhaps again, in every world."""
        tickets = tickets or [None] * len(self.worlds)
        told = self.do(at, lambda number, gate: gate.ask(order, tickets[number], wait=wait), check=False)
        if stand(told[0]) == WAITS:
            self.callers.append(Caller(order, told, at))
        elif isinstance(told[0], Grant):
            self.answered.append((Caller(order, [], at), told))
        self.see()

    def leave_for_now(self, caller: Caller) -> None:
        """End a caller's poll, everywhere."""
        caller.absent = True
        self.do(caller.at, partial(self.leave, caller))

    async def leave(self, caller: Caller, number: int, gate: PoolGate) -> None:
        """End a caller's poll in one world."""
        gate.step_out(caller.polls[number])

    async def return_to(self, caller: Caller, number: int, gate: PoolGate) -> Any:
        """Ask anew in one world, with the ticket that was told there."""
        return await gate.ask(caller.order, caller.polls[number].ticket, wait=60)

    def be_at(self, now: float, at: int) -> None:
        """Let it be some later time."""
        self.now = now
        self.run(self.store.tell_the_time())
        self.do(at)

    def do(self, at: int, asked: Asked | None = None, *, check: bool = True) -> list[Any]:
        """Take a step in every world; return what each said, which is the same."""
        told = [self.run(world.turn(at, asked and partial(asked, number))) for number, world in enumerate(self.worlds)]
        if check:
            self.see()
        return self.agree(told)

    def see(self) -> None:
        """See that every world has granted the same to those who wait, or nothing."""
        for caller in list(self.callers):
            if caller.absent:
                continue
            assert OVER not in map(stand, self.agree(caller.polls))
            grants = [poll.future.result() for poll in caller.polls if poll.future.done()]
            if grants:
                self.callers.remove(caller)
                self.answered.append((caller, self.agree(grants)))

    def agree(self, told: list[Any]) -> list[Any]:
        """See that something is the same in every world, and return it."""
        first, *others = told
        assert [stand(each) for each in others] == [stand(first)] * len(others)
        if isinstance(first, Grant):
            names = [grant.id for grant in told]
            assert self.ids.setdefault(first.id, names) == names
        return told

    def in_memory(self, named: str) -> Grant | None:
        """Return a grant that the memory knows by its id."""
        grant: Grant | None = self.memory.gate.pool.ledger.named(named, self.now)
        return grant

    def app_of(self, named: str) -> str:
        """Return the app that has a grant, as long as it is known."""
        grant = self.in_memory(named)
        return "a" if grant is None else grant.order.app

    def is_full(self) -> bool:
        """Tell whether the window counts as full because somebody was in doubt."""
        pool = self.memory.gate.pool
        return self.in_memory(f"{pool.instance}-0") is not None


def stand(told: Any) -> Any:
    """Return what somebody was told, without what is called otherwise in every world."""
    if isinstance(told, Grant):
        return told.order, told.at, told.tokens
    if hasattr(told, "future"):
        return stand(told.future.result() or OVER) if told.future.done() else WAITS
    return told
