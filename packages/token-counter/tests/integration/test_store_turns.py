"""Turns of several counters at one pool: what happens between them, on a real server."""

from __future__ import annotations

import asyncio
import runpy
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_token_client import Limits
from penstock_token_client.accounting import Grant, Order
from penstock_token_counter import _store_scripts, _turns
from penstock_token_counter._shared_gate import SharedGate
from penstock_token_counter._shared_polls import SharedPoll
from penstock_token_counter._store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from valkey_process import ValkeyProcess

    from penstock_token_counter._store_facts import Changes
else:
    ValkeyProcess = runpy.run_path(str(Path(__file__).parents[1] / "valkey_process.py"))["ValkeyProcess"]

LIMITS = Limits(tpm=1000, rpm=1000, window=2.0, sub_window=2.0, headroom=0.0, margin=2.0)
SPAN = 4.0


class HeldStore(Store):
    """Keeps nothing until it is let go."""

    def __init__(self, url: str, *, counter: str) -> None:
        super().__init__(url, counter=counter, timeout=10.0)
        self.free = asyncio.Event()
        self.free.set()
        self.reached = asyncio.Event()

    async def commit(self, pool: str, changes: Changes) -> bool:
        self.reached.set()
        await self.free.wait()
        return await super().commit(pool, changes)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


@asynccontextmanager
async def sharing(
    url: str, counters: int = 2, *, told: bool = True
) -> AsyncIterator[list[tuple[SharedGate, HeldStore]]]:
    """Serve one pool by several counters, which are told of each other's changes or have to look for them."""
    pool = secrets.token_hex(8)
    async with AsyncExitStack() as stack:
        gates = []
        for number in range(counters):
            store = HeldStore(url, counter=f"counter-{number}")
            stack.push_async_callback(store.aclose)
            gate = SharedGate(pool, LIMITS, store, assume_idle=True)
            stack.push_async_callback(gate.aclose)
            gate.start()
            if told:
                store.listen({pool: gate.wake})
            while not gate.ready:
                await asyncio.sleep(0.01)
            gates.append((gate, store))
        yield gates


async def waiting(gate: SharedGate, tokens: int) -> SharedPoll:
    """Stand in line at a counter."""
    poll = await gate.ask(Order("a", tokens, key=secrets.token_hex(4)), None, wait=60)
    assert isinstance(poll, SharedPoll)
    return poll


async def two_at_once(url: str) -> list[object]:
    """Have one counter decide while another one, whose turn was over too soon, has decided and is about to write."""
    async with sharing(url) as [(first, held), (second, _)]:
        held.reached.clear()
        held.free.clear()
        slow = asyncio.ensure_future(first.ask(Order("a", 700), None, wait=0))
        await held.reached.wait()
        quick = await second.ask(Order("a", 700), None, wait=0)
        held.free.set()
        return [await slow, quick]


async def test_what_was_decided_beside_another_decision_is_decided_anew(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_turns, "_LEASE", 0.05)

    slow, quick = await two_at_once(valkey.url)

    assert slow is None
    assert isinstance(quick, Grant)


async def test_that_would_be_noticed_if_the_store_took_everything(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_turns, "_LEASE", 0.05)
    careless = _store_scripts._COMMIT.replace("(known[1] or '0') ~= ARGV[2] or ", "")
    assert careless != _store_scripts._COMMIT
    monkeypatch.setattr(_store_scripts, "_COMMIT", careless)

    granted = await two_at_once(valkey.url)

    assert all(isinstance(grant, Grant) for grant in granted)


async def test_a_caller_is_granted_by_whichever_counter_notices_first(valkey: ValkeyProcess) -> None:
    async with sharing(valkey.url) as [(first, _), (second, _)]:
        assert isinstance(await first.ask(Order("a", 1000), None, wait=0), Grant)
        here = await waiting(first, 600)
        there = await waiting(second, 400)
        first._turns._wake_at = float("inf")  # the first counter notices nothing by itself

        granted = [await first.wait(here, 30), await second.wait(there, 30)]

    assert [grant is not None and grant.order.tokens for grant in granted] == [600, 400]


async def test_callers_are_served_in_the_order_in_which_they_came_to_any_counter(valkey: ValkeyProcess) -> None:
    async with sharing(valkey.url, counters=3) as gates:
        assert isinstance(await gates[0][0].ask(Order("a", 1000), None, wait=0), Grant)
        crowd = [gates[number % 3][0] for number in (0, 2, 1, 1, 0, 2, 2, 1, 0)]
        polls = [(gate, await waiting(gate, 100)) for gate in crowd]
        granted = await asyncio.gather(*(gate.wait(poll, 30) for gate, poll in polls))

    times = [grant.at for grant in granted if grant is not None]
    assert len(times) == len(crowd)
    assert times == sorted(times)


async def test_nothing_depends_on_being_told_of_changes(valkey: ValkeyProcess) -> None:
    async with sharing(valkey.url, told=False) as [(first, _), (second, _)]:
        grant = await first.ask(Order("a", 1000), None, wait=0)
        assert isinstance(grant, Grant)
        poll = await waiting(second, 900)
        assert await first.release("a", grant.id)

        assert await second.wait(poll, SPAN / 2) is not None  # long before the first grant leaves the window


async def test_the_callers_of_a_counter_that_died_hold_nobody_up_for_long(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_turns, "_BEAT", 0.2)
    monkeypatch.setattr(_turns, "_SILENT", 1.0)
    async with sharing(valkey.url) as [(first, _), (second, _)]:
        assert isinstance(await first.ask(Order("a", 1000), None, wait=0), Grant)
        dead = await waiting(first, 1000)
        alive = await waiting(second, 1000)
        working = first._turns._working
        assert working is not None
        working.cancel()

        assert await second.wait(alive, 30) is not None
        assert not dead.future.done()


async def test_a_caller_that_comes_back_at_another_counter_keeps_its_place(valkey: ValkeyProcess) -> None:
    async with sharing(valkey.url) as [(first, _), (second, _)]:
        assert isinstance(await first.ask(Order("a", 1000), None, wait=0), Grant)
        early = await waiting(first, 600)
        late = await waiting(first, 700)

        moved = await second.ask(early.order, early.ticket, wait=60)
        assert isinstance(moved, SharedPoll)
        assert moved.ticket == early.ticket
        assert await first.wait(early, 30) is None
        assert await second.wait(moved, 30) is not None
        assert not late.future.done()


async def test_a_counter_that_stops_sends_its_callers_to_another_one(valkey: ValkeyProcess) -> None:
    async with sharing(valkey.url) as [(first, _), (second, _)]:
        assert isinstance(await first.ask(Order("a", 1000), None, wait=0), Grant)
        poll = await waiting(first, 600)
        await first.aclose()
        assert await first.wait(poll, 0) is None

        again = await second.ask(poll.order, poll.ticket, wait=60)

        assert isinstance(again, SharedPoll)
        assert again.ticket == poll.ticket


async def test_a_caller_that_gave_up_while_it_was_decided_leaves_nothing_behind(valkey: ValkeyProcess) -> None:
    async with sharing(valkey.url, counters=1) as [(gate, held)]:
        held.reached.clear()
        held.free.clear()
        asking = asyncio.ensure_future(gate.ask(Order("a", 700), None, wait=0))
        await held.reached.wait()
        asking.cancel()
        held.free.set()

        async with asyncio.timeout(30):
            while (gate.pool.ledger.granted, gate.pool.ledger.tokens) != (1, 0):
                await asyncio.sleep(0.01)
