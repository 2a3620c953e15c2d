"""One pool, served in the two ways that there are: by one counter, perhaps with a journal, and by several with a store.

Both are told the time, and act when they are told to. The store is a real server and runs the real scripts; only its
clock is the test's.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from penstock_token_counter._journal import Journal
from penstock_token_counter._shared_gate import SharedGate
from penstock_token_counter._sole_gate import SoleGate
from penstock_token_counter._store import Store, _keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from penstock_token_client import Limits, Sharing
    from penstock_token_client.accounting import Pool
    from penstock_token_counter._pool_gate import PoolGate

    T = TypeVar("T")
    Clock: TypeAlias = Callable[[], float]
    Asked: TypeAlias = Callable[[PoolGate], Awaitable[T]]

EPOCH = 1_000_000.0
"""When a test begins, in seconds of its clock."""

CLOCK = "{redis.call('HGET', 'clock', 's'), redis.call('HGET', 'clock', 'us')}"
"""What the scripts read instead of the server's time."""

REWRITTEN = 2_000  # bytes, of which a batch has about 300: the journal is rewritten now and then


class Alone:
    """One counter, which has the pool to itself."""

    def __init__(self, limits: Limits, sharing: Sharing, clock: Clock, *, journal: bool = False) -> None:
        self.gate: SoleGate
        self._limits = limits
        self._sharing = sharing
        self._clock = clock
        self._folder = Path(tempfile.mkdtemp(prefix="journals-")) if journal else None
        self._beginnings = 0
        self._journal: Journal | None = None

    @property
    def pools(self) -> Sequence[Pool]:
        """The pool, as whoever serves it knows it."""
        return [self.gate.pool]

    async def begin(self, *, idle: bool) -> None:
        """Begin without knowing anything."""
        await self.end()
        self._beginnings += 1
        await self._open(idle=idle)

    async def reopen(self) -> None:
        """End, and have another process go on with what the journal has."""
        if self._journal is not None:
            await self.end()
            await self._open(idle=False)

    async def end(self) -> None:
        if self._beginnings:
            self.gate.close()
        if self._journal is not None:
            await self._journal.aclose()

    async def aclose(self) -> None:
        await self.end()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    async def turn(self, at: int, asked: Asked[T] | None = None) -> T | None:  # noqa: ARG002 - there is but one
        """Decide what is asked, or do what a timer does."""
        told = None
        if asked is None:
            self.gate._gate.pump()
        else:
            told = await asked(self.gate)
        if self._journal is not None:
            await self._journal.commit()
        assert list(self.gate.pool.grants(self._clock())) == [], "somebody may start who was not told so"
        return told

    async def take_over(self, at: int) -> None:  # noqa: ARG002
        """Doubt what is known."""
        self.gate.pool.fill(self._clock())

    async def _open(self, *, idle: bool) -> None:
        if self._folder is not None:
            folder = self._folder / str(self._beginnings)
            self._journal = Journal(folder, smallest=REWRITTEN, clock=self._clock, wall=self._clock)
        self.gate = SoleGate(
            "completion",
            self._limits,
            assume_idle=idle,
            sharing=self._sharing,
            journal=self._journal,
            clock=self._clock,
            wall=self._clock,
        )
        if self._journal is not None:
            await self._journal.open({"completion": self.gate.pool}, assume_idle=idle)


class Together:
    """Several counters, which share the pool through a store."""

    def __init__(self, limits: Limits, sharing: Sharing, clock: Clock, url: str, counters: int) -> None:
        self.name = secrets.token_hex(8)
        self._limits = limits
        self._sharing = sharing
        self._clock = clock
        self._url = url
        self.gates = [self._counter() for _ in range(counters)]

    @property
    def pools(self) -> Sequence[Pool]:
        """The pool, as each of those who serve it knows it."""
        return [gate.pool for gate in self.gates]

    async def aclose(self) -> None:
        for gate in self.gates:
            await gate._turns._store.aclose()

    async def tell_the_time(self) -> None:
        """Have the server's clock show what the test's does."""
        seconds, rest = divmod(self._clock(), 1.0)
        await self._client.hset("clock", mapping={"s": int(seconds), "us": round(rest * 1e6)})

    async def turn(self, at: int, asked: Asked[T] | None = None) -> T | None:
        """Have one counter take its turn, perhaps to decide something, and everybody see what came of it."""
        gate = self.gates[at]
        task = None if asked is None else asyncio.ensure_future(asked(gate))
        await asyncio.sleep(0)
        await gate._turns._turn()
        await self._see()
        return None if task is None else await task

    async def roll(self, at: int) -> None:
        """Have one counter stop in good order, and another one open later, which knows nothing."""
        gate = self.gates[at]
        gate.close()
        await self.turn(at)
        await gate._turns._store.aclose()
        self.gates[at] = self._counter()

    async def take_over(self, at: int) -> None:
        """Have another server go on with what this one has, which may lack the last writes."""
        await self._client.hset(_keys(self.name, "state")[0], "server", "another")
        await self.turn(at)

    async def empty(self, at: int) -> None:
        """Have the store lose everything, and one counter notice it first."""
        await self._client.delete(*_keys(self.name, "meta", "state", "ages", "log"))
        await self.turn(at)

    @property
    def _client(self) -> Any:
        return self.gates[0]._turns._store._client

    def _counter(self) -> SharedGate:
        store = Store(self._url, counter=f"counter-{secrets.token_hex(4)}", timeout=30.0)
        return SharedGate(
            self.name,
            self._limits,
            store,
            assume_idle=True,
            sharing=self._sharing,
            monotonic=lambda: self._clock() - EPOCH,
        )

    async def _see(self) -> None:
        """Have everybody look, and decide what follows, until nobody has anything left to decide."""
        undecided = True
        while undecided:
            undecided = False
            for gate in self.gates:
                await gate._turns._look()
                while gate._turns._wants_a_turn():
                    undecided = True
                    await gate._turns._turn()
