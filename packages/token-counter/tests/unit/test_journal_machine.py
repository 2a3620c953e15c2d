"""Invariant I9: a counter that keeps a journal, killed at any byte of it, decides like one that was never killed.

What was not durable yet at the kill nobody had been told, so the counter that was never killed never did it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from penstock_token_client.accounting import Charge, Ledger, Limits, Order, Pool
from penstock_token_counter import _replay
from penstock_token_counter._records import Entry, Moment, batch_line, header_line
from penstock_token_counter._replay import History, read_history, restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_token_counter._records import Batch

# Times are sixteenths of a second, so that sums of floats are exact.
SIXTEENTH = 1 / 16
JUDGED = Limits(tpm=1000, rpm=24, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
ACTUAL = dataclasses.replace(JUDGED, settle="actual")
WALL = 1000.0  # what the wall clock is ahead of the steady one


@dataclass(frozen=True)
class Ask:
    """A caller asks, and is granted if it fits."""

    tokens: int
    requests: int
    key: str | None


@dataclass(frozen=True)
class End:
    """A caller reports what one of the grants used, or that it was never sent."""

    number: int
    used: int | None


class Counter:
    """A ledger, and the ids of its grants by number, so that those of two counters compare."""

    def __init__(self, pool: Pool, ids: list[str]) -> None:
        self.pool = pool
        self.ids = ids

    @property
    def ledger(self) -> Ledger:
        return self.pool.ledger

    def do(self, step: Ask | End, now: float) -> object:
        """Take a step, and return what was decided."""
        if isinstance(step, Ask):
            return self.ask(step, now)
        if not self.ids:
            return None
        grant_id = self.ids[step.number % len(self.ids)]
        return self.ledger.release(grant_id, now) if step.used is None else self.ledger.settle(grant_id, step.used, now)

    def ask(self, step: Ask, now: float) -> tuple[float, int | None]:
        order = Order(app="app", tokens=step.tokens, requests=step.requests, key=step.key)
        opens = self.ledger.earliest(order, now)
        if opens > now:
            return opens, None
        grant = self.ledger.grant(order, now)
        if grant.id not in self.ids:
            self.ids.append(grant.id)
        return opens, self.ids.index(grant.id)

    def books(self, now: float) -> tuple[object, ...]:
        charges = [charge._replace(id=self.number(charge)) for charge in self.ledger.charges(now)]
        sums = self.ledger.tokens, self.ledger.requests, self.ledger.open_tokens
        return *sums, sorted(charges, key=lambda charge: charge.id)

    def number(self, charge: Charge) -> str:
        return str(self.ids.index(charge.id))


class JournalMachine(RuleBasedStateMachine):
    """The same steps in memory, and in counters of which each goes on from what the one before it left."""

    @initialize(limits=st.sampled_from([JUDGED, ACTUAL]))
    def start(self, limits: Limits) -> None:
        self.limits = limits
        self.now = 0.0
        self.steps: list[tuple[Ask | End, float]] = []
        self.durable = 0
        self.lives = 0
        self.pending: list[Entry] = []
        self.memory = Counter(self.pool("memory"), [])
        self.kept = Counter(self.pool("kept-0", self.pending.append), [])
        self.rewrite()

    def pool(self, instance: str, keep: Callable[[Entry], None] | None = None) -> Pool:
        on_change = None if keep is None else lambda charge: keep(Entry("pool", charge))
        return Pool(self.limits, instance=instance, now=self.now, on_change=on_change)

    def take(self, step: Ask | End) -> None:
        self.steps.append((step, self.now))
        assert self.kept.do(step, self.now) == self.memory.do(step, self.now)

    @rule(tokens=st.integers(0, 400), requests=st.integers(1, 3), callers=st.integers(1, 3))
    def ask(self, tokens: int, requests: int, callers: int) -> None:
        for _ in range(callers):
            self.take(Ask(tokens, requests, None))

    @rule(key=st.sampled_from("klmn"))
    def ask_with_a_key(self, key: str) -> None:
        self.take(Ask(10 * ord(key) - 1000, 1, key))  # a key names one order, so its tokens follow from it

    @rule(number=st.integers(0, 99), used=st.none() | st.integers(0, 600))
    def end(self, number: int, used: int | None) -> None:
        self.take(End(number, used))

    @rule(sixteenths=st.integers(1, 40))
    def time_passes(self, sixteenths: int) -> None:
        self.now += sixteenths * SIXTEENTH

    @rule()
    def commit(self) -> None:
        self.data += self.batch()
        self.pending.clear()
        self.durable = len(self.steps)

    @rule()
    def rewrite(self) -> None:
        """Replace the file by one that holds only what is still in the window."""
        charges = [Entry("pool", charge) for charge in self.kept.ledger.charges(self.now)]
        self.data = header_line({"pool": self.kept.ledger.terms.span}) + batch_line(self.moment(), charges)
        self.pending.clear()
        self.durable = len(self.steps)

    @rule(data=st.data(), down=st.integers(0, 160))
    def kill(self, data: st.DataObject, down: int) -> None:
        """Kill the counter while it writes what is pending, at any byte, and start the next one some time later."""
        line = self.batch()
        written = data.draw(st.integers(0, len(line)) | st.just(len(line)), label="bytes written")
        if written < len(line):
            self.undo()
        self.now += down * SIXTEENTH
        self.lives += 1
        self.pending.clear()
        ids = self.kept.ids[: len(self.memory.ids)]
        self.kept = Counter(self.pool(f"kept-{self.lives}", self.pending.append), ids)
        restore(read_history(self.data + line[:written]), {"pool": self.kept.pool}, self.moment())
        self.rewrite()

    def undo(self) -> None:
        """Have the counter that is never killed do only what became durable."""
        del self.steps[self.durable :]
        self.memory = Counter(Pool(self.limits, instance="memory", now=0.0), [])
        for step, at in self.steps:
            self.memory.do(step, at)

    def batch(self) -> bytes:
        return batch_line(self.moment(), self.pending)

    def moment(self) -> Moment:
        return Moment(self.now + WALL, self.now)

    @invariant()
    def the_books_agree(self) -> None:
        assert self.kept.books(self.now) == self.memory.books(self.now)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


Plant = pytest.MonkeyPatch


def a_replay_that_forgets_how_grants_ended(plant: Plant) -> None:
    take_over = Ledger.restore

    def all_open(ledger: Ledger, charges: list[Charge], now: float) -> None:
        take_over(ledger, [charge._replace(state="open", used=None) for charge in charges], now)

    plant.setattr(Ledger, "restore", all_open)


def a_replay_that_takes_the_first_record_for_the_last(plant: Plant) -> None:
    def take_the_first(history: History, batch: Batch) -> None:
        history.moment = batch.moment
        for entry in batch.entries:
            history.charges.setdefault(entry.pool, {}).setdefault(entry.charge.id, entry.charge)

    plant.setattr(_replay, "_take", take_the_first)


def a_replay_that_loses_the_last_grant_of_a_batch(plant: Plant) -> None:
    take: Any = _replay._take

    def take_less(history: History, batch: Batch) -> None:
        take(history, dataclasses.replace(batch, entries=batch.entries[:-1]))

    plant.setattr(_replay, "_take", take_less)


def a_replay_for_which_no_time_has_passed(plant: Plant) -> None:
    plant.setattr(_replay, "_shift", lambda last, now: 0.0 if last is None else now.steady - last.steady)


def a_replay_for_which_time_has_passed_twice(plant: Plant) -> None:
    plant.setattr(_replay, "_shift", lambda last, now: 0.0 if last is None else last.steady - now.steady)


@pytest.mark.parametrize(
    "fault",
    [
        a_replay_that_forgets_how_grants_ended,
        a_replay_that_takes_the_first_record_for_the_last,
        a_replay_that_loses_the_last_grant_of_a_batch,
        a_replay_for_which_no_time_has_passed,
        a_replay_for_which_time_has_passed_twice,
    ],
)
def test_the_journal_machine_finds(fault: Callable[[Plant], None], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            JournalMachine,
            settings=settings(
                max_examples=600,
                stateful_step_count=40,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
