"""The report has one claim for each goal, and rows that say what they are."""

from __future__ import annotations

import json

import pytest
from simulation_claims import claims
from simulation_plan import BRIEF, Found, run_all
from simulation_policies import PEERS
from simulation_report import print_json, print_table

GOALS = [0, 98.5, 97.5, 1.6, 97, 90, 21, 6, 1, 95, 1]
"""The goals of the design, in its order, and that of the window test."""


@pytest.fixture(scope="module")
def found() -> Found:
    return run_all(seeds=1, other_seeds=0, longest={"": 150.0})


def test_every_goal_has_its_claim_in_order(found: Found) -> None:
    lines = claims(found)

    assert [line["goal"] for line in lines] == GOALS
    assert all(set(line) == {"claim", "value", "goal", "met"} for line in lines)


def test_the_worst_seed_decides(found: Found) -> None:
    good, bad = dict(found["S1", "ours"][0], judged=99.0), dict(found["S1", "ours"][0], judged=98.0)

    decided = [claims({**found, ("S1", "ours"): runs})[1] for runs in ([good], [good, bad])]

    assert [(line["value"], line["met"]) for line in decided] == [(99.0, True), (98.0, False)]


def test_json_is_one_row_or_claim_a_line(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(found)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = [line for line in lines if "row" in line]
    assert [line["goal"] for line in lines if "claim" in line] == GOALS
    assert all(set(row) == {"row", "value", "unit", "spread"} for row in rows)
    assert all(row["spread"][0] <= row["value"] <= row["spread"][1] for row in rows)
    assert len({row["row"] for row in rows}) == len(rows)


def test_the_table_names_its_scenarios_and_fits_a_page(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(found, BRIEF)

    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"{scenario}: ") for line in lines) for scenario in BRIEF)
    assert max(map(len, lines)) <= 120


def test_peers_that_are_not_asked_for_are_not_run(found: Found) -> None:
    tags = {policy for (_, policy), runs in found.items() if runs}

    assert tags & set(PEERS) == {"i-b", "ii", "iii-a", "iii-b", "iv-b"}
