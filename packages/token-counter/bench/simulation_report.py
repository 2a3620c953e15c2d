"""How the runs are reported: a row for each number, a claim for each goal, and a table for people."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, NamedTuple

from simulation_claims import claims, each
from simulation_plan import POLICIES
from simulation_windows import anchored_window, most_in_a_minute, our_ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulation_claims import Line
    from simulation_plan import Facts, Found


class Column(NamedTuple):
    """One number of a run, its unit, and how a table writes it."""

    heading: str
    unit: str
    form: str


COLUMNS = {
    "good": Column("good %", "% of TPM in finished messages", "8.1f"),
    "judged": Column("judged %", "% of TPM admitted", "9.1f"),
    "rpm": Column("msg/min", "messages/min", "8.1f"),
    "per_1000": Column("429/1,000", "429s per 1,000 messages", "10,.1f"),
    "truncated_share": Column("cut %", "% of answers truncated", "6.1f"),
    "p50": Column("p50 s", "s of wait, median", "6.1f"),
    "p99": Column("p99 s", "s of wait, 99 %", "7.1f"),
    "max": Column("max s", "s of wait, longest", "7.1f"),
}
TWO_APPS = {
    "last_judged": Column("B %", "% of admitted tokens, app B", "6.1f"),
    "last_p99": Column("B p99 s", "s of wait, 99 %, app B", "8.1f"),
}
WORDS = 44

LOADS = {
    "S1": "60,000 TPM, 64 workers, prompts ~800, answers ~200 of 1,000; fixed minute, no refund",
    "S2": "as S1, but the minute slides and what an answer leaves unused is given back",
    "S3": "as S1, 600,000 TPM",
    "S4": "600 RPM bind: prompts ~100, answers ~50 of 200; 10 s sub-windows",
    "S5": "as S1, two apps: A 48 workers, B 16 workers with prompts ~3,200",
    "S6": "as S1, the endpoint's estimate of each prompt is off by up to 15 %",
    "S7b": "as S4, 1 s sub-windows",
    "hidden judge": "as S1, all habits drawn; prompts count -10 to +15 %, and each is off by up to 2 %",
}
"""What each scenario is, in a line."""


def print_json(found: Found) -> None:
    """Print one object a line."""
    for line in (*_rows(found), *_window_rows(), *claims(found)):
        print(json.dumps(line))


def print_table(found: Found, scenarios: Iterable[str]) -> None:
    """Print for a person: a table for each of some scenarios, means over the seeds, then all claims."""
    for scenario in scenarios:
        columns = _columns(scenario)
        print(f"{scenario}: {LOADS[scenario]}")
        print(" " * WORDS + "".join(f"{each.heading:>{_width(each)}}" for each in columns.values()))
        for policy in (policy for name, policy in found if name == scenario):
            print(f"{_words(policy):{WORDS}}" + "".join(_cells(found[scenario, policy], columns)))
        print()
    for row in _window_rows():
        print(f"{row['row']}: {row['value']:.2f} {row['unit']}")
    print()
    for claim in claims(found):
        verdict = "met" if claim["met"] else "NOT met"
        print(f"{claim['claim']}: {claim['value']:.2f}, goal {claim['goal']:g}, {verdict}")


def _rows(found: Found) -> Iterator[Line]:
    """Return a row for each number of each policy in each scenario."""
    for (scenario, policy), runs in found.items():
        for name, column in _columns(scenario).items():
            values = each(runs, name)
            yield _row(f"{scenario}, {_words(policy)}: {name}", column.unit, values)


def _window_rows() -> list[Line]:
    """Return what the window test saw."""
    unit = "x the limit in 60 s"
    return [
        _row("flooded as a window ends: window from its first hit", unit, [most_in_a_minute(anchored_window())]),
        _row("flooded as a window ends: ours", unit, [most_in_a_minute(our_ledger())]),
    ]


def _row(row: str, unit: str, values: list[float]) -> Line:
    """Return one row."""
    spread = [round(min(values), 2), round(max(values), 2)]
    return {"row": row, "value": round(statistics.mean(values), 2), "unit": unit, "spread": spread}


def _columns(scenario: str) -> dict[str, Column]:
    """Return the numbers that say something in a scenario."""
    return COLUMNS | TWO_APPS if scenario == "S5" else COLUMNS


def _words(policy: str) -> str:
    """Return what a policy is."""
    return POLICIES[policy].words


def _width(column: Column) -> int:
    """Return the width of a column."""
    return int(column.form.partition(".")[0].rstrip(","))


def _cells(runs: list[Facts], columns: dict[str, Column]) -> Iterator[str]:
    """Return the cells of a line."""
    return (f"{statistics.mean(each(runs, name)):{column.form}}" for name, column in columns.items())
