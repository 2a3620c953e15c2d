"""The simulated endpoint judges as Azure's documentation says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation_judge import Judge, Rules

if TYPE_CHECKING:
    from simulation_judge import Window

TPM = 1_000
ARRIVALS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 400)), max_size=60)
"""Pauses, and tokens."""
PHASES = st.integers(0, 239).map(lambda quarters: quarters / 4)
TICK = 1 / 1024
"""Seconds: like the phases no fraction that binary numbers cannot hold, so that both sides see the same moment."""


def judge(*, phase: float = 0.0, rpm: int = 6_000, **rules: object) -> Judge:
    return Judge(Rules(tpm=TPM, rpm=rpm, **rules), phase)  # type: ignore[arg-type]


@given(arrivals=ARRIVALS, phase=PHASES, window=st.sampled_from(("fixed", "sliding")))
def test_takes_a_request_exactly_if_its_minute_has_room(
    arrivals: list[tuple[int, int]], phase: float, window: Window
) -> None:
    judging = judge(phase=phase, window=window)
    admitted: list[tuple[float, int]] = []
    now = 0.0

    for pause, tokens in arrivals:
        now += pause * TICK
        began = now - 60 if window == "sliding" else math.floor((now + phase) / 60) * 60 - phase
        used = sum(amount for at, amount in admitted if at >= began)
        verdict = judging.arrive(tokens, now)
        assert (verdict.charge is not None) == (used + tokens <= TPM)
        if verdict.charge is not None:
            admitted.append((now, tokens))
            assert verdict.remaining_tokens == TPM - used - tokens


def test_counts_tokens_anew_when_its_minute_changes_whatever_ours_does() -> None:
    judging = judge(phase=50.0)

    verdicts = [judging.arrive(TPM, at).charge is not None for at in (9.0, 9.9, 10.0)]

    assert verdicts == [True, False, True]


def test_counts_rejected_requests_in_the_sub_window() -> None:
    judging = judge(rpm=120, sub_window=1.0)

    verdicts = [judging.arrive(TPM + 1, 0.1), judging.arrive(TPM + 1, 0.2), judging.arrive(1, 0.3)]

    assert [verdict.cause for verdict in verdicts] == ["tokens", "tokens", "requests"]
    assert judging.arrive(1, 1.0).charge is not None


@pytest.mark.parametrize(("sub_window", "most"), [(1.0, 10), (10.0, 100)])
def test_takes_a_sub_windows_share_of_the_requests(sub_window: float, most: int) -> None:
    judging = judge(rpm=600, sub_window=sub_window)

    verdicts = [judging.arrive(1, 0.001 * number).charge is not None for number in range(most + 1)]

    assert verdicts == [True] * most + [False]


@pytest.mark.parametrize(("window", "wait"), [("fixed", 20.0), ("sliding", 50.0)])
def test_says_in_whole_seconds_when_tokens_come_back(window: Window, wait: float) -> None:
    judging = judge(window=window)
    judging.arrive(TPM, 30.5)

    assert judging.arrive(1, 40.5).retry_after == wait


@pytest.mark.parametrize("window", ["fixed", "sliding"])
def test_gives_back_what_an_answer_left_unused_only_where_that_is_the_rule(window: Window) -> None:
    for refund, fits in ((True, True), (False, False)):
        judging = judge(window=window, refund=refund)
        charge = judging.arrive(TPM, 1.0).charge
        assert charge is not None
        judging.complete(charge, 100, 3.0)
        assert (judging.arrive(900, 4.0).charge is not None) == fits


def test_an_answer_that_comes_in_the_next_minute_gives_nothing_back() -> None:
    judging = judge(refund=True)
    charge = judging.arrive(TPM, 59.0).charge
    assert charge is not None
    judging.arrive(TPM, 61.0)

    judging.complete(charge, 0, 62.0)

    assert judging.arrive(1, 63.0).charge is None
