"""Invariant I9: counters that share a pool through a store, or keep a journal, decide like one that has it in memory.

Longer histories, and faults that take long to find, are in the survival tests.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from penstock_token_client.accounting import Charge, Place, Turns
from penstock_token_counter._words import Reported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_faults import Fault, a_journal_without, twice_the_numbers, unheard, unsaid
    from store_machine import JUDGED, StoreMachine, must_be_found, prepared, try_histories
    from valkey_process import ValkeyProcess
else:
    TESTS = Path(__file__).parents[1]
    ValkeyProcess = runpy.run_path(str(TESTS / "valkey_process.py"))["ValkeyProcess"]
    FAULTS = runpy.run_path(str(TESTS / "store_faults.py"))
    a_journal_without, twice_the_numbers = FAULTS["a_journal_without"], FAULTS["twice_the_numbers"]
    unheard, unsaid = FAULTS["unheard"], FAULTS["unsaid"]
    MACHINE = runpy.run_path(str(TESTS / "store_machine.py"))
    JUDGED, StoreMachine, must_be_found = MACHINE["JUDGED"], MACHINE["StoreMachine"], MACHINE["must_be_found"]
    prepared, try_histories = MACHINE["prepared"], MACHINE["try_histories"]


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


@pytest.fixture
def machine(valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch) -> type[StoreMachine]:
    return prepared(monkeypatch, valkey.url)


@pytest.fixture
def worlds(machine: type[StoreMachine]) -> Iterator[StoreMachine]:
    """Every world, for a history that is written down."""
    worlds = machine()
    worlds.start(JUDGED)
    yield worlds
    worlds.teardown()


def grant(worlds: StoreMachine, number: int = -1) -> SimpleNamespace:
    """Return what makes a step choose one of the grants, in the order in which they were given."""
    return SimpleNamespace(draw=lambda _: list(worlds.ids)[number])


def test_counters_that_share_a_store_or_keep_a_journal_decide_like_one(machine: type[StoreMachine]) -> None:
    try_histories(machine, examples=15, steps=25)


def test_who_loads_anew_goes_by_a_refusal_that_came_at_the_moment_of_a_grant(worlds: StoreMachine) -> None:
    worlds.ask(at=0, app="a", tokens=20, requests=1, key=None, wait=60, callers=3)
    worlds.report(at=0, data=grant(worlds, 0), used=0, status="429", left=None, limit=500, wait=250)
    worlds.ask(at=0, app="a", tokens=20, requests=1, key=None, wait=60, callers=1)

    worlds.load_anew(at=0)

    worlds.everybody_counts_the_same()


def test_who_loads_anew_does_not_charge_again_what_had_left_a_window_that_grew(worlds: StoreMachine) -> None:
    worlds.ask(at=0, app="a", tokens=700, requests=1, key=None, wait=60, callers=2)
    worlds.time_passes(at=0, seconds=8.25)
    worlds.report(at=0, data=grant(worlds, 1), used=0, status="429", left=None, limit=None, wait=None)

    worlds.load_anew(at=0)

    worlds.everybody_counts_the_same()


def test_who_loads_anew_knows_the_last_of_the_grants_that_had_a_key(worlds: StoreMachine) -> None:
    worlds.ask(at=0, app="a", tokens=20, requests=1, key="new", wait=0, callers=1)
    for _ in range(79):  # the store tells its charges in no order
        worlds.release(at=0, data=grant(worlds))
        worlds.ask_again(at=0, data=grant(worlds))

    worlds.load_anew(at=0)
    worlds.ask_again(at=0, data=grant(worlds))

    worlds.everybody_counts_the_same()


def test_who_waits_at_one_counter_is_not_granted_what_is_withdrawn_at_another(worlds: StoreMachine) -> None:
    worlds.ask(at=0, app="a", tokens=1000, requests=1, key=None, wait=0, callers=1)
    worlds.ask(at=1, app="a", tokens=1000, requests=1, key="new", wait=60, callers=1)

    worlds.withdraw(at=2, data=SimpleNamespace(draw=lambda _: worlds.keys[-1]))
    worlds.time_passes(at=1, seconds=8.25)

    worlds.everybody_counts_the_same()


def test_an_answer_that_is_lost_takes_no_grant_back_that_another_counter_has_renewed(worlds: StoreMachine) -> None:
    worlds.ask(at=0, app="a", tokens=1000, requests=1, key="new", wait=0, callers=1)
    worlds.time_passes(at=0, seconds=1.0)
    worlds.ask_again(at=1, data=grant(worlds))

    worlds.lose_an_answer(data=SimpleNamespace(draw=lambda _: worlds.answered[0]))

    worlds.everybody_counts_the_same()


def test_a_counter_grants_at_once_from_its_journal_after_a_refusal_that_widened_the_window(
    worlds: StoreMachine,
) -> None:
    worlds.ask(at=0, app="a", tokens=20, requests=1, key=None, wait=0, callers=1)
    worlds.report(at=0, data=grant(worlds), used=20, status="429", left=0, limit=None, wait=None)

    worlds.reopen_the_journal(at=0)

    worlds.everybody_counts_the_same()


def test_a_counter_does_not_charge_again_from_its_journal_what_had_left_a_window_that_grew(
    worlds: StoreMachine,
) -> None:
    worlds.ask(at=0, app="a", tokens=700, requests=1, key=None, wait=60, callers=2)
    worlds.time_passes(at=0, seconds=8.25)
    worlds.report(at=0, data=grant(worlds), used=0, status="429", left=None, limit=None, wait=None)

    worlds.run(worlds.journal.reopen())

    worlds.everybody_counts_the_same()


def a_refusal_and_what_follows(worlds: StoreMachine) -> None:
    """Have a lower limit learned, then have a counter load anew, the journal go on, and two counters decide."""
    worlds.ask(at=0, app="a", tokens=20, requests=1, key=None, wait=0, callers=1)
    worlds.report(at=0, data=grant(worlds), used=20, status="429", left=None, limit=500, wait=None)
    worlds.load_anew(at=2)
    worlds.reopen_the_journal(at=1)
    worlds.ask(at=1, app="a", tokens=450, requests=1, key=None, wait=0, callers=1)
    for number in (2, 1):
        worlds.time_passes(at=number, seconds=1.0)
        worlds.ask(at=number, app="a", tokens=60, requests=1, key=None, wait=0, callers=1)


def test_what_a_refusal_teaches_is_known_to_whoever_goes_on(worlds: StoreMachine) -> None:
    a_refusal_and_what_follows(worlds)

    assert len(worlds.ids) == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(unheard(Reported), id="unheard Reported"),
        pytest.param(unsaid("lesson"), id="unsaid lesson"),
        pytest.param(a_journal_without("lessons"), id="a journal without lessons"),
    ],
)
def test_what_is_not_known_of_a_refusal_is_found(
    fault: Fault, worlds: StoreMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)

    with pytest.raises(AssertionError):
        a_refusal_and_what_follows(worlds)


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(unheard(kind), id=f"unheard {kind.__name__}") for kind in (Charge, Place, Turns)),
        pytest.param(unsaid("charge:"), id="unsaid charge:"),
        twice_the_numbers,
        pytest.param(a_journal_without("charges"), id="a journal without charges"),
    ],
)
def test_the_store_machine_finds(fault: Fault, machine: type[StoreMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    must_be_found(machine)
