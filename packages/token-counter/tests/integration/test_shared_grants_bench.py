"""The bench of shared grants measures a real server, and states one claim for each row."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def test_a_run_measures_both_rows_and_draws_them(tmp_path: Path) -> None:
    command = (
        sys.executable,
        str(BENCH / "shared_grants.py"),
        "--json",
        "--smallest",
        "--plot",
        str(tmp_path / "plot.svg"),
    )

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    rows = {line["row"]: line["value"] for line in lines if "row" in line}
    assert list(rows) == [f"a grant, {number} {row}" for row in ("tickets", "pools") for number in (1, 10)]
    assert min(rows.values()) > 0
    assert [line["goal"] for line in lines if "claim" in line] == [2.0, 2.0]
    assert (tmp_path / "plot.svg").read_text().count("<polyline") == 2


@pytest.mark.parametrize(("last", "met"), [(2.0, True), (2.1, False)])
def test_a_row_is_flat_if_its_last_grant_costs_at_most_twice_its_first(last: float, met: bool) -> None:  # noqa: FBT001
    bench = runpy.run_path(str(BENCH / "shared_grants.py"))
    costs = {10: bench["Cost"](9.0, 0.75, 0.25), 1_000: bench["Cost"](1.0, last - 0.25, 0.25)}

    lines = list(bench["lines_of"]({"tickets": costs}))

    assert [line["met"] for line in lines if "claim" in line] == [met]
