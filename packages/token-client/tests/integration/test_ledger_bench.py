"""The ledger's bench states one claim for each goal, whatever could be measured."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "bench" / "ledger.py"
BENCH: dict[str, Any] = runpy.run_path(str(SCRIPT))
FASTEST = BENCH["PEERS"][-1]


def claims(found: dict[str, list[float]]) -> list[tuple[float, bool]]:
    return [(line["value"], line["met"]) for line in BENCH["lines_of"](found) if "claim" in line]


def measured(ours: float, peer: float) -> dict[str, list[float]]:
    others = {row: [1.0] for row in BENCH["PEERS"]}
    return {BENCH["OURS"]: [ours], BENCH["FRONT"]: [10.0], **others, FASTEST: [peer]}


def test_the_fastest_peer_is_the_one_to_compare_with() -> None:
    assert claims(measured(ours=60.0, peer=50.0)) == [(6.0, True), (1.2, True)]
    assert claims(measured(ours=40.0, peer=50.0)) == [(4.0, False), (0.8, False)]


def test_a_peer_that_could_not_be_measured_leaves_the_goal_unmet() -> None:
    found = measured(ours=60.0, peer=50.0)
    found[BENCH["PEERS"][0]] = []

    assert claims(found) == [(6.0, True), (0.0, False)]


def test_a_run_without_peers_measures_what_is_ours_and_still_states_every_claim() -> None:
    command = (sys.executable, str(SCRIPT), "--json", "--rounds", "1", "--seconds", "0.05")
    environment = {**os.environ, "UV": "there-is-no-uv-here"}

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300, env=environment)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    rows = {line["row"] for line in lines if "row" in line}
    assert rows - {BENCH["FRONT"]} == set(BENCH["OWN_ROWS"])
    assert [line["goal"] for line in lines if "claim" in line] == [5.0, 1.0]
    assert not lines[-1]["met"]
