"""Invariant I9 as a machine for Hypothesis: the same steps in memory, with a journal, and at counters with a store."""

from __future__ import annotations

import dataclasses
import math
import runpy
from functools import partial
from pathlib import Path
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

from penstock_token_client import Limits
from penstock_token_client.accounting import Order, RateLimit, Usage
from penstock_token_counter import _store_scripts, _turns

if TYPE_CHECKING:
    from store_agreement import CLOCK, COUNTERS, OVER, Agreement, stand

    from penstock_token_counter._pool_gate import PoolGate
else:
    AGREEMENT = runpy.run_path(str(Path(__file__).with_name("store_agreement.py")))
    CLOCK, COUNTERS, OVER = AGREEMENT["CLOCK"], AGREEMENT["COUNTERS"], AGREEMENT["OVER"]
    Agreement, stand = AGREEMENT["Agreement"], AGREEMENT["stand"]

SIXTEENTH = 1 / 16
"""Seconds of which all times are multiples, so that sums of floats are exact."""

JUDGED = Limits(tpm=1000, rpm=48, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
ACTUAL = dataclasses.replace(JUDGED, settle="actual")
COUNTER = st.integers(0, COUNTERS - 1)
DOWN = 1.0
"""Seconds for which a counter with a journal is down: longer than from one start of those who waited to the next."""

RECENT = 1.0
"""Seconds after which nobody notices any more that an answer did not reach its caller."""


class StoreMachine(Agreement, RuleBasedStateMachine):
    """Callers come, go, report and come back, counters and stores fail, and every world says the same of all of it."""

    url: str

    @initialize(limits=st.sampled_from([JUDGED, ACTUAL]))
    def start(self, limits: Limits) -> None:
        self.begin(limits, self.url)

    def teardown(self) -> None:
        self.end()

    @rule(
        at=COUNTER,
        app=st.sampled_from("ab"),
        tokens=st.sampled_from([20, 60, 120, 450, 700, 1000]),
        requests=st.sampled_from([1, 1, 2]),
        key=st.none() | st.just("new"),
        wait=st.sampled_from([0, 60]),
        callers=st.integers(1, 4),
    )
    def ask(self, at: int, app: str, tokens: int, requests: int, key: str | None, wait: int, callers: int) -> None:
        for _ in range(callers):
            if key is not None:
                self.keys.append((app, f"{key}-{len(self.keys)}"))
            order = Order(app=app, tokens=tokens, requests=requests, key=key and self.keys[-1][1])
            self.ask_for(order, at, wait)

    @precondition(lambda self: self.ids)
    @rule(at=COUNTER, data=st.data())
    def ask_again(self, at: int, data: st.DataObject) -> None:
        """Repeat what was granted, as if the answer had been lost, at any counter."""
        grant = self.in_memory(data.draw(st.sampled_from(list(self.ids))))
        if grant is not None and grant.order.key is not None:
            self.answered = [(caller, grants) for caller, grants in self.answered if grants[0].at < self.now]
            self.ask_for(grant.order, at, wait=0)  # later than the answer that was lost

    @precondition(lambda self: any(not caller.absent for caller in self.callers))
    @rule(at=COUNTER, data=st.data(), forgetful=st.booleans())
    def poll_again(self, at: int, data: st.DataObject, *, forgetful: bool) -> None:
        """Ask for the same while an earlier poll still waits, perhaps by the key alone, perhaps at another counter."""
        caller = data.draw(st.sampled_from([caller for caller in self.callers if not caller.absent]))
        if caller.order.key is None:
            forgetful = False
        tickets = [None if forgetful else poll.ticket for poll in caller.polls]
        polls = caller.polls
        self.callers.remove(caller)
        self.ask_for(caller.order, at, wait=60, tickets=tickets)
        assert [stand(poll) for poll in polls] == [OVER] * len(polls)

    @precondition(lambda self: any(not caller.absent for caller in self.callers))
    @rule(data=st.data())
    def step_out(self, data: st.DataObject) -> None:
        self.leave_for_now(data.draw(st.sampled_from([caller for caller in self.callers if not caller.absent])))

    @precondition(lambda self: any(caller.absent for caller in self.callers))
    @rule(at=COUNTER, data=st.data())
    def come_back(self, at: int, data: st.DataObject) -> None:
        """Poll again, perhaps at another counter."""
        caller = data.draw(st.sampled_from([caller for caller in self.callers if caller.absent]))
        self.callers.remove(caller)
        self.ask_for(caller.order, at, wait=60, tickets=[poll.ticket for poll in caller.polls])

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def lose_an_answer(self, data: st.DataObject) -> None:
        """Let a grant not reach its caller, who is not there any more."""
        caller, grants = data.draw(st.sampled_from(self.answered))
        self.answered.remove((caller, grants))
        polls: list[Any] = caller.polls or [None] * len(grants)

        async def take_back(number: int, gate: PoolGate) -> None:
            gate.undeliverable(grants[number], polls[number])

        self.do(caller.at, take_back)
        if caller.polls:
            caller.absent = True
            self.callers.append(caller)

    @precondition(lambda self: self.ids)
    @rule(
        at=COUNTER,
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
        named = data.draw(st.sampled_from(list(self.ids)))
        # What is left tells how Azure counts, of which the store and the journal keep only the result.
        headers = RateLimit(limit_tokens=limit, remaining_tokens=left if status == "429" else None, retry_after_ms=wait)
        usage, app = Usage(used, 0, status, headers), self.app_of(named)
        self.do(at, lambda number, gate: gate.settle(app, self.ids[named][number], usage))

    @precondition(lambda self: self.ids)
    @rule(at=COUNTER, data=st.data())
    def release(self, at: int, data: st.DataObject) -> None:
        named = data.draw(st.sampled_from(list(self.ids)))
        app = self.app_of(named)
        self.do(at, lambda number, gate: gate.release(app, self.ids[named][number]))

    @precondition(lambda self: self.keys)
    @rule(at=COUNTER, data=st.data())
    def withdraw(self, at: int, data: st.DataObject) -> None:
        """Undo what was asked under a key, at any counter, wherever its caller waits."""
        app, key = data.draw(st.sampled_from(self.keys[-8:]))
        waiting = [caller for caller in self.callers if (caller.order.app, caller.order.key) == (app, key)]
        for caller in waiting:
            self.callers.remove(caller)
        self.do(at, lambda _, gate: gate.withdraw(app, key))
        for caller in waiting:
            assert caller.absent or [stand(poll) for poll in caller.polls] == [OVER] * len(self.worlds)

    @rule(at=COUNTER, seconds=st.sampled_from([0.0625, 0.25, 1.0, 8.0]))
    def time_passes(self, at: int, seconds: float) -> None:
        """Have any of the counters notice that somebody may start."""
        until = self.now + seconds
        while (wake_at := self.memory.gate.pool.queue.wake_at(self.now)) is not None and wake_at <= until:
            self.be_at(math.ceil(wake_at * 1e6) / 1e6, at)  # the store's clock knows no less than a microsecond
        self.be_at(until, at)
        self.answered = [(caller, grants) for caller, grants in self.answered if grants[0].at + RECENT >= self.now]

    @rule(at=COUNTER)
    def load_anew(self, at: int) -> None:
        """Have a counter forget everything, as if its connection had been lost."""
        self.store.gates[at]._turns.knowledge.certain = False
        self.run(self.store.turn(at))

    @rule(at=COUNTER)
    def roll(self, at: int) -> None:
        """Stop one of the counters that share a store, and open another one; its callers come back sometime."""
        for caller in self.callers:
            if caller.at == at and not caller.absent:
                caller.absent = True
                for number, world in enumerate((self.memory, self.journal)):
                    self.run(world.turn(at, partial(self.leave, caller, number)))
        self.run(self.store.roll(at))
        self.do(at)

    @precondition(lambda self: self.memory.gate.pool.queue.idle)
    @rule(at=COUNTER)
    def reopen_the_journal(self, at: int) -> None:
        """Go on from the journal, which has the grants; those who wait would bring their places along."""
        self.callers.clear()
        self.time_passes(at, DOWN)
        self.answered.clear()
        self.run(self.journal.reopen())

    @precondition(lambda self: not self.is_full())
    @rule(at=COUNTER)
    def another_server_takes_over(self, at: int) -> None:
        """Have every world doubt that it knows everything."""
        for world in self.worlds:
            self.run(world.take_over(at))
        self.do(at)

    @rule(at=COUNTER)
    def everything_is_lost(self, at: int) -> None:
        """Empty the store; that is like a new counter that knows nothing, to which those who wait come back."""
        self.time_passes(at, SIXTEENTH)
        self.answered.clear()
        waiting = [caller for caller in self.callers if not caller.absent]
        waiting.sort(key=lambda caller: (caller.at != at, caller.at, caller.rank))
        self.run(self.store.empty(at))
        for number, world in enumerate((self.memory, self.journal)):
            self.run(world.begin(idle=False))
            for caller in waiting:
                caller.polls[number] = self.run(world.turn(at, partial(self.return_to, caller, number)))
        self.do(at)

    @invariant()
    def everybody_counts_the_same(self) -> None:
        self.see_the_books()


def prepared(plant: pytest.MonkeyPatch, url: str) -> type[StoreMachine]:
    """Return the machine, for a store at some address, in which time passes and counters act as they are told."""
    plant.setattr(_store_scripts, "CLOCK", CLOCK)
    plant.setattr(_turns, "_SILENT", 1e9)
    plant.setattr(StoreMachine, "url", url, raising=False)
    return StoreMachine


def try_histories(machine: type[StoreMachine], examples: int, steps: int, **options: Any) -> None:
    """Make up so many histories of so many steps."""
    always = settings(deadline=None, suppress_health_check=list(HealthCheck), **options)
    run_state_machine_as_test(machine, settings=settings(always, max_examples=examples, stateful_step_count=steps))


def must_be_found(machine: type[StoreMachine]) -> None:
    """Make up the same histories every time, of which some must find the fault that was planted."""
    with pytest.raises((AssertionError, KeyError, ExceptionGroup)):  # a group tells of several ways to fail
        try_histories(
            machine,
            examples=400,
            steps=30,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        )
