"""The bench of `/lock` measures real servers, and states one claim for each goal."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "lock_http.py"
SERVERS = ("trivial handler", "memory", "journal")


def test_a_run_measures_every_server_and_states_one_claim_for_each_goal() -> None:
    command = (sys.executable, str(SCRIPT), "--json", "--rounds", "1", "--seconds", "0.2")

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    rows = {line["row"]: line["value"] for line in lines if "row" in line}
    assert list(rows) == [f"{calls}, {server}" for calls in ("/lock", "/lock and /report") for server in SERVERS]
    assert min(rows.values()) > 0
    assert [line["goal"] for line in lines if "claim" in line] == [0.8, 0.5]


@pytest.mark.parametrize(("memory", "journal", "met"), [(79, 50, [False, True]), (80, 49, [True, False])])
def test_a_goal_is_met_by_the_median_of_the_rounds_ratios(memory: int, journal: int, met: list[bool]) -> None:
    lock = {"trivial handler": [100, 50, 200], "memory": [memory, 90, 2], "journal": [journal, 90, 2]}
    found = {(calls, server): rates for calls in ("lock", "pairs") for server, rates in lock.items()}

    lines = list(runpy.run_path(str(SCRIPT))["lines_of"](found))

    assert [line["met"] for line in lines if "claim" in line] == met
