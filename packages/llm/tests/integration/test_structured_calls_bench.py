"""The bench of typed answers states one claim for each goal, whatever could be measured."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "bench" / "structured_calls.py"
BENCH: dict[str, Any] = runpy.run_path(str(SCRIPT))
OURS, CREATE, PEERS, LAG, PAIRS = (BENCH[name] for name in ("OURS", "CREATE", "PEERS", "LAG", "PAIRS"))
GOALS = [1.2, 0.6, 1.0, 1.0]


def measured(**changes: list[float]) -> dict[str, list[float]]:
    found = {row: [1.0] for name in BENCH["NAMES"] for row in (name, f"{name}, {LAG}")} | {PAIRS: [0.5]}
    return found | {peer: [3.0] for peer in PEERS} | changes


def claims(found: dict[str, list[float]]) -> list[tuple[float, bool]]:
    return [(line["value"], line["met"]) for line in BENCH["lines_of"](found) if "claim" in line]


def test_each_goal_has_its_claim() -> None:
    assert [line["goal"] for line in BENCH["lines_of"](measured()) if "claim" in line] == GOALS
    assert claims(measured()) == [(1.0, True), (0.33, True), (0.5, True), (1.0, True)]


def test_the_best_peer_is_the_one_to_compare_with() -> None:
    assert claims(measured(LiteLLM=[1.5]))[1] == (0.67, False)


def test_a_peer_that_could_not_be_measured_leaves_its_goal_unmet() -> None:
    assert claims(measured(LangChain=[]))[1] == (0.0, False)


def test_ratios_are_taken_within_a_round() -> None:
    assert claims(measured(ours=[1.0, 10.0], create=[2.0, 20.0]))[0] == (0.5, True)


def test_a_run_without_peers_measures_what_is_ours_and_still_states_every_claim() -> None:
    command = (sys.executable, str(SCRIPT), "--json", "--rounds", "1", "--calls", "10")
    environment = {**os.environ, "UV": "there-is-no-uv-here"}

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300, env=environment)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    rows = {line["row"] for line in lines if "row" in line}
    assert rows == {OURS, CREATE, f"{OURS}, {LAG}", f"{CREATE}, {LAG}", PAIRS}
    assert [line["goal"] for line in lines if "claim" in line] == GOALS
    assert not [line for line in lines if "claim" in line][1]["met"]
