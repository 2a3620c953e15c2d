"""Invariant I5: however a counter ends, what it left in its journal charges never less than it had granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_token_client.accounting import Charge, Ledger, Limits, Order, Pool
from penstock_token_counter._records import Entry, Moment, batch_line, header_line
from penstock_token_counter._replay import read_history, restore

if TYPE_CHECKING:
    from collections.abc import Callable

# Times are sixteenths of a second, so that sums of floats are exact.
SIXTEENTH = 1 / 16
LIMITS = {
    "judged": Limits(tpm=1000, rpm=24, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125),
    "actual": Limits(tpm=500, rpm=24, headroom=0.0, window=8.0, margin=0.25, settle="actual"),
}
WALL = 1000.0  # what the wall clock is ahead of the steady one


class Counter:
    """Ledgers, a journal in memory, and an account of its own of what callers were told at each journal's length."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pending: list[Entry] = []
        self.ledgers = {
            pool: Ledger(limits, instance="a", on_change=self.recorder(pool)) for pool, limits in LIMITS.items()
        }
        self.sent: dict[tuple[str, str], tuple[float, int, int]] = {}  # (pool, id) -> when, tokens, requests
        self.told: list[tuple[int, dict[tuple[str, str], tuple[float, int, int]]]] = []
        self.ended: set[tuple[str, str]] = set()
        self.data = header_line({pool: ledger.terms.span for pool, ledger in self.ledgers.items()})
        self.write()

    def recorder(self, pool: str) -> Callable[[Charge], None]:
        return lambda charge: self.pending.append(Entry(pool, charge))

    def write(self) -> None:
        self.data += batch_line(Moment(self.now + WALL, self.now), self.pending)
        self.pending.clear()
        self.told.append((len(self.data), dict(self.sent)))

    def ask(self, pool: str, tokens: int, key: str | None) -> None:
        ledger, order = self.ledgers[pool], Order(app="app", tokens=tokens, key=key)
        if ledger.can_ever_fit(order) and ledger.earliest(order, self.now) <= self.now:
            held = ledger.holds(order, self.now)
            grant = ledger.grant(order, self.now)
            if (pool, grant.id) not in self.ended:
                charged = self.sent[pool, grant.id][1] if held else tokens
                self.sent[pool, grant.id] = (self.now, charged, 1)

    def end(self, pool: str, number: int, used: int | None) -> None:
        mine = [name for name in self.sent if name[0] == pool]
        if not mine:
            return
        name = mine[number % len(mine)]
        at, tokens, requests = self.sent[name]
        ledger = self.ledgers[pool]
        known = ledger.release(name[1], self.now) if used is None else ledger.settle(name[1], used, self.now)
        if known and name not in self.ended:
            self.ended.add(name)
            if used is None:
                self.sent[name] = (at, 0, 0)
            else:
                actual = LIMITS[pool].settle == "actual"
                self.sent[name] = (at, used if actual else max(used, tokens), requests)

    def owed(self, pool: str, length: int, now: float) -> tuple[int, int]:
        """Return what is charged, as far as anybody was told, if the journal has only so many bytes."""
        told = [sent for end, sent in self.told if end <= length]
        span = LIMITS[pool].window + LIMITS[pool].margin
        live = [
            (tokens, requests)
            for (of, _), (at, tokens, requests) in (told[-1] if told else {}).items()
            if of == pool and at + span > now
        ]
        return sum(tokens for tokens, _ in live), sum(requests for _, requests in live)


STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 40)),
    st.tuples(st.just("write"), st.just(0)),
    st.tuples(
        st.just("ask"), st.sampled_from(sorted(LIMITS)), st.integers(0, 400), st.none() | st.sampled_from("klmnopq")
    ),
    st.tuples(st.just("end"), st.sampled_from(sorted(LIMITS)), st.integers(0, 99), st.none() | st.integers(0, 600)),
)


def run(steps: list[tuple[object, ...]]) -> Counter:
    counter = Counter()
    for step in steps:
        match step:
            case ("pass", int(sixteenths)):
                counter.now += sixteenths * SIXTEENTH
            case ("write", _):
                counter.write()
            case ("ask", str(pool), int(tokens), str() | None as key):
                # A key names one order, so its tokens follow from it.
                counter.ask(pool, tokens if key is None else 10 * ord(key) - 1000, key)
            case ("end", str(pool), int(number), int() | None as used):
                counter.end(pool, number, used)
    return counter


def replayed(data: bytes, now: Moment, *, assume_idle: bool = False) -> dict[str, Ledger]:
    pools = {name: Pool(limits, instance="b", now=now.steady) for name, limits in LIMITS.items()}
    restore(read_history(data), pools, now, assume_idle=assume_idle)
    return {name: pool.ledger for name, pool in pools.items()}


def books(ledger: Ledger, now: float) -> tuple[int, int, int, list[Charge]]:
    charges = list(ledger.charges(now))
    return ledger.tokens, ledger.requests, ledger.open_tokens, sorted(charges, key=lambda charge: charge.id)


@given(steps=st.lists(STEPS, max_size=60), down=st.integers(0, 200))
def test_a_whole_journal_brings_back_exactly_what_was(steps: list[tuple[object, ...]], down: int) -> None:
    counter = run(steps)
    counter.write()
    now = counter.now + down * SIXTEENTH

    after = replayed(counter.data, Moment(now + WALL, now))

    for pool, before in counter.ledgers.items():
        assert books(after[pool], now) == books(before, now)
        assert (after[pool].tokens, after[pool].requests) == counter.owed(pool, len(counter.data), now)
        for tokens in (1, 250, 500):
            order = Order(app="new", tokens=tokens)
            assert after[pool].earliest(order, now) == before.earliest(order, now)


@given(steps=st.lists(STEPS, max_size=60), down=st.integers(0, 200), data=st.data())
def test_a_journal_cut_at_any_byte_never_charges_less_than_callers_were_told(
    steps: list[tuple[object, ...]], down: int, data: st.DataObject
) -> None:
    counter = run(steps)
    counter.write()
    cut = data.draw(st.integers(0, len(counter.data)), label="cut")
    now = counter.now + down * SIXTEENTH

    after = replayed(counter.data[:cut], Moment(now + WALL, now))

    for pool in LIMITS:
        tokens, requests = counter.owed(pool, cut, now)
        assert after[pool].tokens >= tokens
        assert after[pool].requests >= requests


@given(steps=st.lists(STEPS, max_size=60), down=st.integers(0, 200), step=st.integers(-2000, 2000))
def test_a_wall_clock_that_was_set_never_makes_charges_older(
    steps: list[tuple[object, ...]], down: int, step: int
) -> None:
    counter = run(steps)
    counter.write()
    now = counter.now + down * SIXTEENTH

    after = replayed(counter.data, Moment(now + WALL + step, now))

    for pool in LIMITS:
        tokens, requests = counter.owed(pool, len(counter.data), now)
        assert after[pool].tokens >= tokens
        assert after[pool].requests >= requests


def granted_at_100() -> bytes:
    """Return a journal in which the whole pool was granted at second 100 of the steady clock."""
    ledger = Ledger(LIMITS["judged"], instance="a")
    grant = ledger.grant(Order(app="app", tokens=1000), 100.0)
    header = header_line(dict.fromkeys(LIMITS, 8.25))
    return header + batch_line(Moment(5000.0, 100.0), [Entry("judged", grant.charge())])


@pytest.mark.parametrize(
    ("now", "age"),
    [
        (Moment(5003.0, 103.0), 3.0),
        (Moment(4000.0, 103.0), 0.0),  # the wall clock was set back: no time has passed
        (Moment(9000.0, 103.0), 3.0),  # the wall clock was set forward: the steady one knows better
        (Moment(5003.0, 2.0), 3.0),  # the machine was restarted: only the wall clock knows
        (Moment(4000.0, 2.0), 0.0),  # both
    ],
)
def test_a_charge_is_as_old_as_both_clocks_agree_on(now: Moment, age: float) -> None:
    after = replayed(granted_at_100(), now)["judged"]

    assert after.earliest(Order(app="app", tokens=1), now.steady) == now.steady + 8.25 - age


def test_a_pool_that_the_journal_does_not_cover_starts_full_unless_it_is_assumed_idle() -> None:
    now = Moment(WALL, 0.0)

    assert replayed(b"", now)["judged"].tokens == 1000
    assert replayed(b"", now, assume_idle=True)["judged"].tokens == 0


def test_damage_before_the_end_charges_what_is_known_and_a_full_window() -> None:
    counter = run([("ask", "judged", 100, None), ("write", 0), ("ask", "judged", 200, None), ("write", 0)])
    lines = counter.data.split(b"\n")
    lines[2] = lines[2].replace(b"100", b"001", 1)

    assert replayed(b"\n".join(lines), Moment(WALL, 0.0))["judged"].tokens == 200 + 1000
