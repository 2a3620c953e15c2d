"""A simulated run counts right, can be repeated, and shows what each kind of policy is known for."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from simulation_judge import Verdict
from simulation_model import Crew, Message, Scenario, draw
from simulation_plan import HIDDEN, PLAN, POLICIES, Job
from simulation_policies import PEERS
from simulation_scenarios import COMBINATIONS, DOCUMENTED, hidden, simulate
from simulation_tally import Tally, quantile

BUSY = Scenario(name="busy", rules=DOCUMENTED, seconds=420.0)
MESSAGE = Message(app="A", prompt=100, judged_prompt=100, completion=50, max_tokens=200, picked_up=0.0)
ADMITTED = Verdict(None, 0.0, None, 0, 0)
REJECTED = Verdict(None, 1.0, "tokens", 0, 0)


def test_a_seed_repeats_a_run_and_another_one_does_not() -> None:
    first, again, other = (Job(scenario="S1", policy="ours", seed=seed, longest=240.0).run() for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_counts_nothing_of_the_first_two_minutes() -> None:
    tally = Tally()

    for now in (119.0, 121.0):
        tally.judged(MESSAGE, 300, ADMITTED, now)
        tally.judged(MESSAGE, 300, REJECTED, now)
        tally.answered(MESSAGE, 200, 7.0, now)
    facts = tally.facts(replace(BUSY, seconds=180.0))

    assert facts["judged"] == pytest.approx(100 * 300 / 60_000)
    assert facts["good"] == pytest.approx(100 * 150 / 60_000)
    assert (facts["rejected"], facts["per_1000"], facts["p50"]) == (1, 1000.0, 7.0)


def test_an_answer_cut_short_is_no_good() -> None:
    tally = Tally()

    tally.answered(MESSAGE, 49, 1.0, 200.0)
    facts = tally.facts(BUSY)

    assert (facts["good"], facts["rpm"], facts["truncated_share"]) == (0, 0, 100.0)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_quantile_is_one_of_the_values(share: float, value: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], share) == value


def test_the_endpoint_counts_prompts_with_its_bias_and_noise() -> None:
    rules = replace(DOCUMENTED, bias=0.1, noise=0.02)
    random = Random(1)

    messages = [draw(Crew(app="A", workers=1), rules, random, 0.0) for _ in range(500)]

    ratios = [message.judged_prompt / message.prompt for message in messages if message.prompt > 500]
    assert min(ratios) == pytest.approx(1.078, abs=0.004)
    assert max(ratios) == pytest.approx(1.122, abs=0.004)


def test_eight_hidden_judges_in_a_row_see_every_combination_of_habits() -> None:
    drawn = [hidden(seed).rules for seed in range(1, 9)]

    assert {(rules.window, rules.refund, rules.sub_window) for rules in drawn} == set(COMBINATIONS)
    assert all(-0.10 <= rules.bias <= 0.15 for rules in drawn)


@pytest.mark.parametrize("tag", PEERS)
def test_no_policy_gets_more_than_the_limit_past_the_judge(tag: str) -> None:
    facts = simulate(BUSY, PEERS[tag].policy, seed=1)

    # Five minutes touch six of the judge's.
    assert 80 < facts["judged"] <= 100 * 6 / 5
    assert facts["good"] < facts["judged"]


def test_without_an_account_nearly_everything_is_rejected_and_with_ours_nothing_but_a_stray() -> None:
    naive = simulate(BUSY, POLICIES["i-b"].policy, seed=1)
    ours = simulate(BUSY, POLICIES["ours"].policy, seed=1)

    assert naive["rejected"] > 100
    assert ours["rejected"] <= 1
    assert ours["rpm"] > 0.9 * naive["rpm"]


def test_a_refunding_account_is_rejected_by_an_endpoint_that_does_not_refund() -> None:
    facts = simulate(BUSY, POLICIES["iii-a"].policy, seed=1)

    assert facts["rejected"] > 100


def test_polling_starves_and_a_line_does_not() -> None:
    polled, lined = (simulate(replace(BUSY, seconds=900.0), POLICIES[tag].policy, seed=1) for tag in ("iii-b", "iv"))

    assert polled["p99"] > 2 * lined["p99"]


def test_a_learned_max_tokens_makes_room_for_more() -> None:
    plain, learned = (simulate(replace(BUSY, seconds=900.0), POLICIES[tag].policy, seed=1) for tag in ("iv-b", "v-b"))

    assert learned["good"] > 1.1 * plain["good"]
    assert learned["truncated"] > 0


def test_every_policy_of_the_plan_is_known() -> None:
    assert {policy for policies in PLAN.values() for policy in policies} == set(POLICIES)
    assert HIDDEN in PLAN
