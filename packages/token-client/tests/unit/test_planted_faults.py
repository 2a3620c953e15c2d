"""What the state machines are worth: each finds a fault that is planted in what it tests."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from penstock_token_client._backfill import Slack
from penstock_token_client._fairness import FairShares
from penstock_token_client.accounting import Grant, Ledger, Limits, Order

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
LEDGER_MACHINE = runpy.run_path(str(HERE / "test_ledger.py"))["LedgerMachine"]
QUEUE_MACHINE = runpy.run_path(str(HERE / "test_queue_machine.py"))["QueueMachine"]
QUICK = settings(
    max_examples=600,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

Plant = pytest.MonkeyPatch


def a_window_shorter_by_the_margin(plant: Plant) -> None:
    terms = Limits.terms

    plant.setattr(Limits, "terms", lambda limits: terms(dataclasses.replace(limits, margin=0.0)))


def a_window_that_holds_one_token_more(plant: Plant) -> None:
    window_opens = Ledger._window_opens

    def generous(ledger: Ledger, order: Order, now: float) -> float:
        ledger.tokens -= 1
        try:
            return window_opens(ledger, order, now)
        finally:
            ledger.tokens += 1

    plant.setattr(Ledger, "_window_opens", generous)


def a_sub_window_that_holds_one_request_more(plant: Plant) -> None:
    pace_opens = Ledger._pace_opens
    plant.setattr(Ledger, "_pace_opens", lambda ledger, requests, now: pace_opens(ledger, requests - 1, now))


def a_report_that_lowers_the_charge(plant: Plant) -> None:
    settle = Ledger._settle

    def lower(ledger: Ledger, grant: Grant, used: int, *, exact: bool) -> None:
        settle(ledger, grant, used, exact=exact or used < grant.tokens)

    plant.setattr(Ledger, "_settle", lower)


def a_late_report_that_is_known(plant: Plant) -> None:
    plant.setattr(Ledger, "named", lambda ledger, grant_id, _now: ledger._by_id.get(grant_id))


def a_release_of_what_was_reported(plant: Plant) -> None:
    release = Ledger.release

    def twice(ledger: Ledger, grant_id: str, now: float) -> bool:
        grant = ledger.named(grant_id, now)
        if grant is not None and grant.state == "settled":
            ledger.open_tokens += grant.tokens
            grant.state = "open"
        return release(ledger, grant_id, now)

    plant.setattr(Ledger, "release", twice)


def a_forgotten_key_that_still_answers(plant: Plant) -> None:
    def remember(_ledger: Ledger, _grant: Grant) -> None:
        pass

    plant.setattr(Ledger, "_forget_key", remember)


def a_repetition_that_keeps_its_old_time(plant: Plant) -> None:
    plant.setattr(Ledger, "_renew", lambda _ledger, held, _now: held)


def a_retry_that_comes_too_early(plant: Plant) -> None:
    earliest = Ledger.earliest

    def early(ledger: Ledger, order: Order, now: float) -> float:
        return max(now, earliest(ledger, order, now) - 1 / 16)

    plant.setattr(Ledger, "earliest", early)


def a_glance_that_overlooks_the_sub_window(plant: Plant) -> None:
    glance = Ledger.grant_at_a_glance

    def careless(ledger: Ledger, order: Order, now: float) -> Grant | None:
        recent, ledger._recent_requests = ledger._recent_requests, 0
        try:
            return glance(ledger, order, now)
        finally:
            ledger._recent_requests += recent

    plant.setattr(Ledger, "grant_at_a_glance", careless)


def a_line_that_forgets_the_weights(plant: Plant) -> None:
    plant.setattr(FairShares, "_cost", lambda _shares, _app, tokens: float(tokens))


def an_app_that_saves_up_while_it_rests(plant: Plant) -> None:
    plant.setattr(FairShares, "start", lambda shares, app: shares._clocks.get(app, 0.0))


def a_passing_order_that_delays_the_head(plant: Plant) -> None:
    def pass_if_it_fits(_slack: Slack, order: Order, ledger: Ledger, not_before: float, now: float) -> float:
        return max(now, not_before, ledger.earliest(order, now))

    plant.setattr(Slack, "passes_at", pass_if_it_fits)


def run(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.parametrize(
    "fault",
    [
        a_window_shorter_by_the_margin,
        a_window_that_holds_one_token_more,
        a_sub_window_that_holds_one_request_more,
        a_report_that_lowers_the_charge,
        a_late_report_that_is_known,
        a_release_of_what_was_reported,
        a_forgotten_key_that_still_answers,
        a_repetition_that_keeps_its_old_time,
        a_retry_that_comes_too_early,
        a_glance_that_overlooks_the_sub_window,
    ],
)
def test_the_ledger_machine_finds(fault: Callable[[Plant], None], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    with pytest.raises(AssertionError):
        run(LEDGER_MACHINE)


@pytest.mark.parametrize(
    "fault",
    [
        a_line_that_forgets_the_weights,
        an_app_that_saves_up_while_it_rests,
        a_passing_order_that_delays_the_head,
    ],
)
def test_the_queue_machine_finds(fault: Callable[[Plant], None], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    with pytest.raises(AssertionError):
        run(QUEUE_MACHINE)


@pytest.mark.parametrize("machine", [LEDGER_MACHINE, QUEUE_MACHINE])
def test_the_machines_find_nothing_where_nothing_is_planted(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=5))
