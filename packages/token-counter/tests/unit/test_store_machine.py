"""Invariant I9: counters that share a pool through a store decide like one counter that has it to itself.

The store is a real server and runs the real scripts; only its clock is the test's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import runpy
import secrets
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from penstock_token_client import Limits, Sharing
from penstock_token_client.accounting import Charge, Grant, Order, Place, Pool, RateLimit, Turns, Usage, Waiter
from penstock_token_counter import _store_scripts, _turns
from penstock_token_counter._replica import Replica
from penstock_token_counter._shared_gate import SharedGate
from penstock_token_counter._store import Store
from penstock_token_counter._words import InForce, Reported

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from valkey_process import ValkeyProcess

    from penstock_token_counter._shared_polls import SharedPoll
    from penstock_token_counter._store_facts import Kept
    from penstock_token_counter._words import Word
else:
    ValkeyProcess = runpy.run_path(str(Path(__file__).parents[1] / "valkey_process.py"))["ValkeyProcess"]

# Times are sixteenths of a second, so that sums of floats are exact.
SIXTEENTH = 1 / 16
EPOCH = 1_000_000.0
CLOCK = "{redis.call('HGET', 'clock', 's'), redis.call('HGET', 'clock', 'us')}"
JUDGED = Limits(tpm=1000, rpm=48, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
ACTUAL = dataclasses.replace(JUDGED, settle="actual")
SHARING = Sharing(weights={"a": 1, "b": 4}, hold=0.25, ticket_ttl=5.0)
COUNTERS = 3


@dataclasses.dataclass(eq=False)
class Caller:
    """Somebody who waits, or waited, in both worlds."""

    order: Order
    waiter: Waiter
    poll: SharedPoll
    at: int
    absent: bool = False


class StoreMachine(RuleBasedStateMachine):
    """The same steps in memory, and at one of several counters that share a store."""

    valkey: ValkeyProcess

    @initialize(limits=st.sampled_from([JUDGED, ACTUAL]))
    def start(self, limits: Limits) -> None:
        self.runner = asyncio.Runner()
        self.limits = limits
        self.name = secrets.token_hex(8)
        self.now = EPOCH
        self.callers: list[Caller] = []
        self.ids: dict[str, str] = {}  # of the store's grants, by those of the memory's
        self.keys = 0
        self.memory = Pool(limits, instance="memory", now=self.now, sharing=SHARING)
        self.gates = [self.run(self.counter(number)) for number in range(COUNTERS)]
        self.set_clock()

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            for gate in self.gates:
                self.run(gate._turns._store.aclose())
            self.runner.close()

    async def counter(self, number: int) -> SharedGate:
        store = Store(self.valkey.url, counter=f"counter-{number}-{secrets.token_hex(2)}", timeout=30.0)
        return SharedGate(
            self.name, self.limits, store, assume_idle=True, sharing=SHARING, monotonic=lambda: self.now - EPOCH
        )

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def set_clock(self) -> None:
        seconds, rest = divmod(self.now, 1.0)
        client = self.gates[0]._turns._store._client
        self.run(client.hset("clock", mapping={"s": int(seconds), "us": round(rest * 1e6)}))

    async def turn(self, gate: SharedGate, asked: Coroutine[Any, Any, Any] | None = None) -> Any:
        """Have a counter take its turn, perhaps to decide something, and everybody see what came of it."""
        task = None if asked is None else asyncio.ensure_future(asked)
        await asyncio.sleep(0)
        await gate._turns._turn()
        for other in self.gates:
            while other._turns._wants_a_turn():
                await other._turns._turn()
            await other._turns._look()
        return None if task is None else await task

    def step(self, at: int, asked: Coroutine[Any, Any, Any] | None = None) -> Any:
        return self.run(self.turn(self.gates[at], asked))

    def match(self, mine: Grant | None, theirs: Grant | None) -> None:
        """See that both worlds granted the same, or nothing."""
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert (theirs.order, theirs.at, theirs.tokens) == (mine.order, mine.at, mine.tokens)
            assert self.ids.setdefault(mine.id, theirs.id) == theirs.id

    def pump(self) -> None:
        """Grant in memory to those who wait, and see that the same were granted the same by the counters."""
        granted = {waiter.ticket: grant for waiter, grant in self.memory.grants(self.now)}
        self.memory.queue.wake_at(self.now)
        for caller in list(self.callers):
            told = caller.poll.future.result() if caller.poll.future.done() and not caller.absent else None
            self.match(granted.pop(caller.waiter.ticket, None), told)
            if told is not None:
                self.callers.remove(caller)
        assert not granted

    @rule(
        at=st.integers(0, COUNTERS - 1),
        app=st.sampled_from("ab"),
        tokens=st.sampled_from([20, 60, 120, 450, 700, 1000]),
        requests=st.sampled_from([1, 1, 2]),
        key=st.none() | st.just("new"),
        wait=st.sampled_from([0, 60]),
        callers=st.integers(1, 4),
    )
    def ask(self, at: int, app: str, tokens: int, requests: int, key: str | None, wait: int, callers: int) -> None:
        for _ in range(callers):
            self.keys += 1
            order = Order(app=app, tokens=tokens, requests=requests, key=key and f"{key}-{self.keys}")
            self.ask_for(order, at, wait)

    @precondition(lambda self: self.ids)
    @rule(at=st.integers(0, COUNTERS - 1), data=st.data())
    def ask_again(self, at: int, data: st.DataObject) -> None:
        """Repeat what was granted, as if the answer had been lost, at any counter."""
        grant_id = data.draw(st.sampled_from(sorted(self.ids)))
        grant = self.memory.ledger.named(grant_id, self.now)
        if grant is not None and grant.order.key is not None:
            self.ask_for(grant.order, at, wait=0)

    def ask_for(self, order: Order, at: int, wait: int) -> None:
        mine = self.memory.grant_now(order, self.now)
        waiter = self.memory.queue.join(order, self.now) if mine is None and wait else None
        theirs = self.step(at, self.gates[at].ask(order, None, wait=wait))
        if waiter is not None:
            assert not isinstance(theirs, Grant)
            self.callers.append(Caller(order, waiter, theirs, at))
        else:
            self.match(mine, theirs)
        self.pump()

    @precondition(lambda self: any(not caller.absent for caller in self.callers))
    @rule(data=st.data())
    def step_out(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from([caller for caller in self.callers if not caller.absent]))
        caller.absent = True
        self.memory.queue.step_out(caller.waiter, self.now)
        self.step(caller.at, self.away(caller))
        self.pump()

    async def away(self, caller: Caller) -> None:
        self.gates[caller.at].step_out(caller.poll)

    @precondition(lambda self: any(caller.absent for caller in self.callers))
    @rule(at=st.integers(0, COUNTERS - 1), data=st.data())
    def come_back(self, at: int, data: st.DataObject) -> None:
        """Poll again, perhaps at another counter."""
        caller = data.draw(st.sampled_from([caller for caller in self.callers if caller.absent]))
        self.callers.remove(caller)
        mine = self.memory.grant_now(caller.order, self.now)
        waiter = None
        if mine is None:
            waiter = self.memory.queue.join(caller.order, self.now, caller.waiter.ticket)
        theirs = self.step(at, self.gates[at].ask(caller.order, caller.poll.ticket, wait=60))
        if waiter is None:
            self.match(mine, theirs)
        else:
            self.callers.append(Caller(caller.order, waiter, theirs, at))
        self.pump()

    @precondition(lambda self: self.ids)
    @rule(
        at=st.integers(0, COUNTERS - 1),
        data=st.data(),
        used=st.integers(0, 900),
        status=st.sampled_from(["ok", "truncated", "error", "429"]),
        left=st.none() | st.integers(0, 1000),
        wait=st.none() | st.sampled_from([250, 1000, 4000]),
        limit=st.none() | st.sampled_from([500, 1000]),
    )
    def report(
        self,
        at: int,
        data: st.DataObject,
        used: int,
        status: Any,
        left: int | None,
        wait: int | None,
        limit: int | None,
    ) -> None:
        mine = data.draw(st.sampled_from(sorted(self.ids)))
        # What is left tells how Azure counts, of which the store keeps only the result.
        headers = RateLimit(limit_tokens=limit, remaining_tokens=left if status == "429" else None, retry_after_ms=wait)
        usage = Usage(used, 0, status, headers)
        grant = self.memory.ledger.named(mine, self.now)
        app = "a" if grant is None else grant.order.app
        known = self.memory.settle(mine, usage, self.now)
        assert self.step(at, self.gates[at].settle(app, self.ids[mine], usage)) == known
        self.pump()

    @precondition(lambda self: self.ids)
    @rule(at=st.integers(0, COUNTERS - 1), data=st.data())
    def release(self, at: int, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from(sorted(self.ids)))
        grant = self.memory.ledger.named(mine, self.now)
        app = "a" if grant is None else grant.order.app
        known = self.memory.release(mine, self.now)
        assert self.step(at, self.gates[at].release(app, self.ids[mine])) == known
        self.pump()

    @rule(at=st.integers(0, COUNTERS - 1), seconds=st.sampled_from([0.0625, 0.25, 1.0, 8.0]))
    def time_passes(self, at: int, seconds: float) -> None:
        """Have any of the counters notice that somebody may start."""
        until = self.now + seconds
        while (wake_at := self.memory.queue.wake_at(self.now)) is not None and wake_at <= until:
            self.now = math.ceil(wake_at * 1e6) / 1e6  # the store's clock knows no less than a microsecond
            self.set_clock()
            self.step(at)
            self.pump()
        self.now = until
        self.set_clock()
        self.step(at)
        self.pump()

    @rule(at=st.integers(0, COUNTERS - 1))
    def load_anew(self, at: int) -> None:
        """Have a counter forget everything, as if its connection had been lost."""
        self.gates[at]._turns.knowledge.certain = False
        self.step(at)

    @invariant()
    def everybody_counts_the_same(self) -> None:
        if not hasattr(self, "gates"):
            return
        ledger = self.memory.ledger
        ledger.next_expiry(self.now)
        for gate in self.gates:
            gate.pool.ledger.next_expiry(self.now)
            assert gate.pool.ledger.tokens == ledger.tokens
            assert gate.pool.ledger.requests == ledger.requests
            assert gate.pool.ledger.open_tokens == ledger.open_tokens
            assert gate.pool.queue.depths() == self.memory.queue.depths()


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


@pytest.fixture
def machine(valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch) -> type[StoreMachine]:
    monkeypatch.setattr(_store_scripts, "CLOCK", CLOCK)
    monkeypatch.setattr(_turns, "_SILENT", 1e9)  # counters act when they are told to, so none of them is silent
    monkeypatch.setattr(StoreMachine, "valkey", valkey, raising=False)
    return StoreMachine


def test_counters_that_share_a_store_decide_like_one(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_who_loads_anew_goes_by_a_refusal_that_came_at_the_moment_of_a_grant(machine: type[StoreMachine]) -> None:
    both, first = machine(), SimpleNamespace(draw=lambda _: "memory-1")
    both.start(JUDGED)
    both.ask(at=0, app="a", tokens=20, requests=1, key=None, wait=60, callers=3)
    both.report(at=0, data=first, used=0, status="429", left=None, limit=500, wait=250)
    both.ask(at=0, app="a", tokens=20, requests=1, key=None, wait=60, callers=1)

    both.load_anew(at=0)

    both.everybody_counts_the_same()
    both.teardown()


def test_who_loads_anew_does_not_charge_again_what_had_left_a_window_that_grew(machine: type[StoreMachine]) -> None:
    both = machine()
    both.start(JUDGED)
    both.ask(at=0, app="a", tokens=700, requests=1, key=None, wait=60, callers=2)
    both.time_passes(at=0, seconds=8.25)
    second = SimpleNamespace(draw=lambda _: "memory-2")
    both.report(at=0, data=second, used=0, status="429", left=None, limit=None, wait=None)

    both.load_anew(at=0)

    both.everybody_counts_the_same()
    both.teardown()


def test_who_loads_anew_knows_the_last_of_the_grants_that_had_a_key(machine: type[StoreMachine]) -> None:
    both = machine()
    both.start(JUDGED)
    both.ask(at=0, app="a", tokens=20, requests=1, key="new", wait=0, callers=1)
    for times in range(1, 80):  # the store tells its charges in no order
        newest = SimpleNamespace(draw=lambda _, newest=f"memory-{times}": newest)
        both.release(at=0, data=newest)
        both.ask_again(at=0, data=newest)

    both.load_anew(at=0)
    both.ask_again(at=0, data=SimpleNamespace(draw=lambda _: "memory-80"))

    both.everybody_counts_the_same()
    both.teardown()


Plant = pytest.MonkeyPatch


def unheard(kind: type[Word]) -> Callable[[Plant], None]:
    """Have counters not hear what the others say in one kind of words."""

    def plant(plant: Plant) -> None:
        hear = Replica._hear

        def hear_less(replica: Replica, word: Word, now: float) -> None:
            if not isinstance(word, kind):
                hear(replica, word, now)

        plant.setattr(Replica, "_hear", hear_less)

    return plant


def unsaid(prefix: str) -> Callable[[Plant], None]:
    """Have the store lack, for those who load, what has such a name."""

    def plant(plant: Plant) -> None:
        load = Replica.load

        def load_less(replica: Replica, kept: Kept, now: float) -> None:
            fields = {name: value for name, value in kept.fields.items() if not name.startswith(prefix)}
            load(replica, kept._replace(fields=fields), now)

        plant.setattr(Replica, "load", load_less)

    return plant


def twice_the_numbers(plant: Plant) -> None:
    load = Replica.load
    plant.setattr(Replica, "load", lambda replica, kept, now: load(replica, kept._replace(granted=0), now))


SLOW = pytest.mark.skipif(
    os.environ.get("PENSTOCK_SURVIVAL") != "full", reason="takes long to find; PENSTOCK_SURVIVAL=full does"
)


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(unheard(kind), id=f"unheard {kind.__name__}") for kind in (Charge, Place, Turns)),
        pytest.param(unsaid("charge:"), id="unsaid charge:"),
        *(pytest.param(unheard(kind), id=f"unheard {kind.__name__}", marks=SLOW) for kind in (Reported, InForce)),
        *(
            pytest.param(unsaid(name), id=f"unsaid {name}", marks=SLOW)
            for name in ("place:", "turns", "lesson", "inforce")
        ),
        twice_the_numbers,
    ],
)
def test_the_store_machine_finds(
    fault: Callable[[Plant], None], machine: type[StoreMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)

    with pytest.raises((AssertionError, KeyError, ExceptionGroup)):  # a group tells of several ways to fail
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=400,
                stateful_step_count=30,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
