"""Log records a second of processor time, records lost at `kill -9`, and what a rotation costs, against peers.

Each logger is a process of its own and writes the same record to a file of its own, ours as shipped: with redaction and
context, and with orjson, as the README installs it. They are measured in turn, several rounds; a ratio is taken within
a round, because what else the machine does changes. All live in environments of their own, which uv makes. Threads
count: a record in a queue is not yet in the file. A record counts as lost if the call that logged it had returned,
which the process notes in another file, and it is in no log file after the kill.

    uv run python packages/logging-monitor/bench/log_records.py [--quick] [--json]
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
OURS_JSON, OURS_TEXT, FILE_JSON, FILE_TEXT = "ours, JSON", "ours, text", "FileHandler, JSON", "FileHandler, text"
JSON_PINS = ("--with=python-json-logger==4.2.0", "--with=orjson==3.13.0")
OURS = ("--with=orjson==3.13.0", f"--with-editable={HERE.parent}")
STRUCTLOG = ("--with=structlog==26.1.0", "--with=orjson==3.13.0")
WRITERS: Mapping[str, tuple[str, ...]] = {
    OURS_JSON: OURS,
    "ours, JSON without orjson": OURS,
    "ours, JSON, minimal": OURS,
    OURS_TEXT: OURS,
    FILE_JSON: JSON_PINS,
    FILE_TEXT: (),
    "QueueHandler, JSON": JSON_PINS,
    "structlog, JSON": STRUCTLOG,
    "loguru, JSON": ("--with=loguru==0.7.3",),
    "loguru, text": ("--with=loguru==0.7.3",),
}
KILLED = (OURS_JSON, OURS_TEXT, FILE_JSON, "QueueHandler, JSON", "structlog, JSON", "loguru, JSON")
ROTATING: Mapping[str, tuple[str, ...]] = {
    "ours, rotation": OURS,
    "RotatingFileHandler, rotation": JSON_PINS,
}
NUMBER = re.compile(rb'sold (\d+) of|"number":(\d+)')

Found = dict[str, list[float]]
"""What each row measured, by round; a row that could not be measured has none."""


def command(name: str, pins: Sequence[str], *arguments: str) -> tuple[str, ...]:
    """Return what starts a logger in an environment of its own."""
    environment = ("--no-project", "--isolated", "--python", sys.executable, *pins)
    script = (str(HERE / "log_writers.py"), name, *arguments)
    return (os.environ.get("UV", "uv"), "run", "--quiet", *environment, *script)


class Writer:
    """A logger in a process of its own, which measures on demand.

    Args:
        name: Which logger.
        folder: Where it writes.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        folder.mkdir()
        with suppress(FileNotFoundError):
            self._process = subprocess.Popen(
                command(name, WRITERS[name], str(folder)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        self._ready = bool(self._line())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()

    def measure(self, seconds: float) -> list[float]:
        """Return how many records a second it writes; nothing if its process could not start, or is gone."""
        if not self._ready or self._process is None or self._process.stdin is None:
            return []
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        line = self._line()
        for closed in self._folder.glob("*__*.log"):
            closed.unlink()  # a monitor would have shipped it
        return [float(line["value"])] if line else []

    def _line(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            return {}
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {}


def measure_rates(folder: Path, rounds: int, seconds: float) -> Found:
    """Measure every logger in turn, several rounds."""
    found: Found = {name: [] for name in WRITERS}
    with ExitStack() as stack:
        writers = {name: stack.enter_context(Writer(name, folder / f"rate {name}")) for name in WRITERS}
        for _ in range(rounds):
            for name, writer in writers.items():
                found[name] += writer.measure(seconds)
    return found


def measure_losses(folder: Path, kills: int, seconds: float) -> Found:
    """Kill each logger at work, several times."""
    found: Found = {f"{name}, lost": [] for name in KILLED}
    for number in range(kills):
        for name in KILLED:
            with suppress(FileNotFoundError):
                found[f"{name}, lost"] += lost_at_kill(name, folder / f"kill {number} {name}", seconds)
    return found


def lost_at_kill(name: str, folder: Path, seconds: float) -> list[float]:
    """Return how many acknowledged records are in no file after a kill; nothing if the logger could not start."""
    folder.mkdir()
    acknowledged = folder / "acknowledged"
    process = subprocess.Popen(command(name, WRITERS[name], str(folder), str(acknowledged)), start_new_session=True)
    try:
        while not acknowledged.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # uv, and the process that it started
        process.wait()
    if not acknowledged.exists():
        return []
    return [float(len(set(range(int(acknowledged.read_bytes() or b"0"))) - numbers_in(folder)))]


def numbers_in(folder: Path) -> set[int]:
    """Return the numbers of all records in the log files."""
    content = b"".join(path.read_bytes() for path in folder.glob("*.log"))
    return {int(text or json_number) for text, json_number in NUMBER.findall(content)}


def measure_rotations(folder: Path, count: int) -> Found:
    """Measure the calls that begin a new file."""
    found: Found = {name: [] for name in ROTATING}
    for name, pins in ROTATING.items():
        (folder / name).mkdir()
        with suppress(FileNotFoundError):
            done = subprocess.run(
                command(name, pins, str(folder / name), str(count)), stdout=subprocess.PIPE, check=False
            )
            found[name] = json.loads(done.stdout)["values"] if done.stdout else []
    return found


def lines_of(found: Mapping[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, values in found.items():
        if values:
            unit, digits = unit_of(row)
            spread = [round(min(values), digits), round(max(values), digits)]
            yield {"row": row, "value": round(statistics.median(values), digits), "unit": unit, "spread": spread}
    yield at_least("JSON records per second, at least 1.3 x FileHandler's", found, OURS_JSON, FILE_JSON, 1.3)
    yield at_least("text records per second, at least 0.8 x FileHandler's", found, OURS_TEXT, FILE_TEXT, 0.8)
    ours = [found[f"{name}, lost"] for name in (OURS_JSON, OURS_TEXT)]
    yield at_most("records lost at kill -9, at most 0", [max(map(max, ours))] if all(ours) else [], 0.0)
    yield at_most("milliseconds in a call that rotates, at most 1", found["ours, rotation"], 1.0)


def unit_of(row: str) -> tuple[str, int]:
    """Return what a row counts, and with how many decimals."""
    if row.endswith("lost"):
        return "records", 0
    return ("ms", 3) if row.endswith("rotation") else ("records/s CPU", 0)


def at_least(text: str, found: Mapping[str, list[float]], ours: str, other: str, goal: float) -> dict[str, Any]:
    """State a goal for a ratio, taken round by round; what could not be measured is not met."""
    ratios = [mine / theirs for mine, theirs in zip(found[ours], found[other], strict=False)]
    value = round(statistics.median(ratios), 2) if ratios else 0.0
    return {"claim": text, "value": value, "goal": goal, "met": value >= goal}


def at_most(text: str, values: Sequence[float], goal: float) -> dict[str, Any]:
    """State a goal for a median; what could not be measured is not met."""
    value = round(statistics.median(values), 3) if values else 0.0
    return {"claim": text, "value": value, "goal": goal, "met": bool(values) and value <= goal}


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max((len(row["row"]) for row in rows), default=0)
    for row in rows:
        low, high = row["spread"]
        digits = unit_of(row["row"])[1]
        spread = f"({low:,.{digits}f} to {high:,.{digits}f})"
        print(f"{row['row']:{width}}  {row['value']:>9,.{digits}f}  {row['unit']}  {spread}")
    for line in (line for line in lines if "claim" in line):
        print(f"{line['claim']}: {line['value']:g}, {'met' if line['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="how long each logger writes in a round")
    options = parser.parse_args()
    rounds, seconds, kills, rotated = (4, 0.2, 1, 20) if options.quick else (11, 0.5, 5, 200)
    rounds, seconds = options.rounds or rounds, options.seconds or seconds
    with tempfile.TemporaryDirectory() as folder:
        found = measure_rates(Path(folder), rounds, seconds)
        found |= measure_losses(Path(folder), kills, seconds)
        found |= measure_rotations(Path(folder), rotated)
    lines = list(lines_of(found))
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
