"""What `uploads.py` measures, and how it tells: rows, the claims on them, and a table for a person."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uploads_clients import MIB

OURS, TUNED, OBSTORE, RCLONE = "ours", "hand-tuned", "obstore", "rclone"
CLIENTS = (OURS, TUNED, OBSTORE, RCLONE)
OF_TUNED, OVER_BASE, LAG_OF_TUNED = 0.85, 40.0, 1.2

Found = dict[str, list[float]]
"""What each row measured, by round; a row that could not be measured has none."""


@dataclass(frozen=True)
class Work:
    """Files of one size, and how long the account takes for an answer."""

    kind: str
    title: str
    sizes: Sequence[int]
    delay: float = 0.0
    in_files: bool = False

    def rate(self, seconds: float) -> float:
        """Return files, or MB, a second."""
        return (len(self.sizes) if self.in_files else sum(self.sizes) / 1e6) / seconds

    def row(self, client: str, what: str = "") -> str:
        """Name a row."""
        return ", ".join(filter(None, (self.title, client, what)))


SMALL = Work("small", "500 x 8 KiB at 20 ms", [8 * 1024] * 500, delay=0.02, in_files=True)
MEDIUM = Work("medium", "50 x 4 MiB", [4 * MIB] * 50)
LARGE = Work("large", "1 GiB", [1024 * MIB])
WORKS = (SMALL, MEDIUM, LARGE)


def note(found: Found, work: Work, client: str, measured: Mapping[str, float]) -> None:
    """Write down a measurement."""
    found.setdefault(work.row(client), []).append(work.rate(measured["seconds"]))
    if client in (OURS, TUNED):
        found.setdefault(work.row(client, "memory"), []).append((measured["peak"] - measured["base"]) / MIB)
        found.setdefault(work.row(client, "lag"), []).append(measured["lag"])


def lines_of(found: Found) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, values in found.items():
        spread = [round(min(values), 1), round(max(values), 1)]
        yield {"row": row, "value": round(statistics.median(values), 1), "unit": unit_of(row), "spread": spread}
    slowest = min(ratio(found, work.row(OURS), work.row(TUNED)) for work in WORKS)
    text = f"speed at each size, at least {OF_TUNED:g} x a hand-tuned client's"
    yield {"claim": text, "value": round(slowest, 2), "goal": OF_TUNED, "met": slowest >= OF_TUNED}
    memory = max(statistics.median(found[work.row(OURS, "memory")]) for work in WORKS)
    text = f"memory at each size, at most {OVER_BASE:g} MiB over base"
    yield {"claim": text, "value": round(memory, 1), "goal": OVER_BASE, "met": memory <= OVER_BASE}
    lag = max(ratio(found, work.row(OURS, "lag"), work.row(TUNED, "lag")) for work in WORKS)
    text = f"longest time the loop is held up at each size, at most {LAG_OF_TUNED:g} x a hand-tuned client's"
    yield {"claim": text, "value": round(lag, 2), "goal": LAG_OF_TUNED, "met": lag <= LAG_OF_TUNED}


def unit_of(row: str) -> str:
    """Tell what a row is counted in."""
    if row.endswith("memory"):
        return "MiB over base"
    if row.endswith("lag"):
        return "ms"
    return "files/s" if row.startswith(SMALL.title) else "MB/s"


def ratio(found: Found, ours: str, other: str) -> float:
    """Compare two rows, round by round."""
    return statistics.median(mine / theirs for mine, theirs in zip(found[ours], found[other], strict=True))


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        low, high = row["spread"]
        print(f"{row['row']:{width}}  {row['value']:>8,.1f}  {row['unit']:13}  ({low:,.1f} to {high:,.1f})")
    for line in (line for line in lines if "claim" in line):
        print(f"{line['claim']}: {line['value']:g}, {'met' if line['met'] else 'not met'}")
