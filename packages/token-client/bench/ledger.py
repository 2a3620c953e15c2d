"""Reserve and settle pairs a second of the ledger and its line, against rate limiters in memory and a bare deque.

Ours is what a token counter does for a `/lock` and its `/report`, without the HTTP: two limits and a sub-window, fair
shares, keys, a window that holds 60,000 grants at any moment, and a settlement of each. A peer's pair is one hit for
the tokens and one for the request. All run in processes of their own, in turn, several rounds; a ratio is taken within
a round, because what else the machine does changes. The peers live in an environment of their own, which uv makes. The
HTTP front is what the token counter's `lock_http.py` measures in the same round.

    uv run python packages/token-client/bench/ledger.py [--quick] [--json]
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
LOCK_HTTP = HERE.parents[1] / "token-counter" / "bench" / "lock_http.py"
PEER_PINS = ("--with=limits==5.8.0", "--with=throttled-py==3.5.0")

OURS, FRONT = "all features", "/lock, memory"
OWN_ROWS = (OURS, "all features, in one function", "through the line", "cost 1, no keys", "bare deque")
PEERS = (
    "limits, moving window",
    "limits, sliding window counter",
    "limits, fixed window",
    "throttled-py, sliding window",
    "throttled-py, GCRA",
    "throttled-py, token bucket",
    "throttled-py, fixed window",
)
CHEAP_PEERS = ("limits, moving window, cost 1", "limits, fixed window, cost 1", "throttled-py, fixed window, cost 1")
TIMES_FRONT, TIMES_PEER = 5.0, 1.0

Found = dict[str, list[float]]
"""What each row did a second, by round; a row that could not be measured has none."""


class Rows:
    """Rows that a process of their own measures on demand.

    Args:
        command: What starts it.
    """

    def __init__(self, *command: str) -> None:
        self._process: subprocess.Popen[str] | None = None
        with contextlib.suppress(FileNotFoundError):
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def measure(self, row: str, seconds: float) -> list[float]:
        """Return how many pairs a second a row does; nothing if its process could not start, or is gone."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return []
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"row": row, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        return [float(json.loads(line)["rate"])] if line else []


def peers_command() -> tuple[str, ...]:
    """Return what runs the peers in an environment of their own."""
    uv = os.environ.get("UV", "uv")
    environment = ("--no-project", "--isolated", "--python", sys.executable, *PEER_PINS)
    return (uv, "run", "--quiet", *environment, str(HERE / "ledger_peers.py"))


def measure_front(seconds: float) -> list[float]:
    """Return how many `/lock` a second a token counter answers; nothing if there is no token counter here."""
    arguments = (str(LOCK_HTTP), "--json", "--rounds", "1", "--seconds", str(seconds))
    done = subprocess.run((sys.executable, *arguments), stdout=subprocess.PIPE, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [float(line["value"]) for line in lines if line.get("row") == FRONT]


def measure_rounds(rounds: int, seconds: float) -> Found:
    """Measure everything in turn, several rounds."""
    found: Found = {row: [] for row in (*OWN_ROWS, FRONT, *PEERS, *CHEAP_PEERS)}
    with Rows(sys.executable, str(HERE / "ledger_rows.py")) as ours, Rows(*peers_command()) as peers:
        for _ in range(rounds):
            for row in OWN_ROWS:
                found[row] += ours.measure(row, seconds)
            for row in (*PEERS, *CHEAP_PEERS):
                found[row] += peers.measure(row, seconds)
            found[FRONT] += measure_front(seconds)
    return found


def lines_of(found: Mapping[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, values in found.items():
        if values:
            spread = [round(min(values)), round(max(values))]
            unit = "calls/s" if row == FRONT else "pairs/s"
            yield {"row": row, "value": round(statistics.median(values)), "unit": unit, "spread": spread}
    yield claim(f"pairs per second, at least {TIMES_FRONT:g} x the HTTP front", found, FRONT, TIMES_FRONT)
    fastest = max(PEERS, key=lambda peer: statistics.median(found[peer] or [0.0]))
    complete = all(found[peer] for peer in PEERS)
    yield claim("pairs per second, at least those of the fastest peer", found, fastest if complete else "", TIMES_PEER)


def claim(text: str, found: Mapping[str, list[float]], other: str, goal: float) -> dict[str, Any]:
    """Compare ours with another row; with one that could not be measured, the goal is not met."""
    values = found.get(other, [])
    ratio = statistics.median([ours / theirs for ours, theirs in zip(found[OURS], values, strict=False)] or [0.0])
    return {"claim": text, "value": round(ratio, 2), "goal": goal, "met": ratio >= goal}


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        low, high = row["spread"]
        print(f"{row['row']:{width}}  {row['value']:>9,}  {row['unit']}  ({low:,} to {high:,})")
    for line in (line for line in lines if "claim" in line):
        print(f"{line['claim']}: {line['value']:.2f}, {'met' if line['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="how long each measurement takes")
    options = parser.parse_args()
    rounds, seconds = (2, 0.3) if options.quick else (7, 0.6)
    lines = list(lines_of(measure_rounds(options.rounds or rounds, options.seconds or seconds)))
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
