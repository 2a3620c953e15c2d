"""The bench states one claim for each goal, whatever could be measured."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "bench" / "log_records.py"
BENCH: dict[str, Any] = runpy.run_path(str(SCRIPT))
GOALS = [1.3, 0.8, 0.0, 1.0]


def measured(**changes: list[float]) -> dict[str, list[float]]:
    rates = {name: [100.0, 100.0] for name in BENCH["WRITERS"]}
    lost = {f"{name}, lost": [0.0] for name in BENCH["KILLED"]}
    return {**rates, **lost, "ours, rotation": [0.5], **changes}


def met(found: dict[str, list[float]]) -> list[bool]:
    claims = [line for line in BENCH["lines_of"](found) if "claim" in line]
    assert [claim["goal"] for claim in claims] == GOALS
    return [claim["met"] for claim in claims]


def test_goals_are_met_only_as_far_as_they_are() -> None:
    assert met(measured(**{"ours, JSON": [130.0, 130.0]})) == [True, True, True, True]
    assert met(measured(**{"ours, text": [79.0, 79.0]})) == [False, False, True, True]
    assert met(measured(**{"ours, text, lost": [0.0, 0.0, 1.0]})) == [False, True, False, True]
    assert met(measured(**{"ours, rotation": [1.1, 1.1, 0.1]})) == [False, True, True, False]


def test_what_could_not_be_measured_leaves_its_goal_unmet() -> None:
    nothing: dict[str, list[float]] = {row: [] for row in measured()}

    assert met(nothing) == [False, False, False, False]


def test_a_run_without_environments_still_states_every_claim() -> None:
    command = (sys.executable, str(SCRIPT), "--json", "--quick", "--rounds", "1")
    environment = {**os.environ, "UV": "there-is-no-uv-here"}

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300, env=environment)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["goal"] for line in lines] == GOALS
    assert not any(line["met"] for line in lines)


def test_every_record_of_a_killed_logger_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text('{"message":"sold 3 of bread"}\n{"event":"sold","number":4}\n')
    (tmp_path / "b.log").write_text("sold 17 of bread\n")

    assert BENCH["numbers_in"](tmp_path) == {3, 4, 17}
