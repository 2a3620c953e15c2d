"""CPU of a typed answer, and how long a crowd of them holds up the event loop, against what people would pick instead.

The endpoint is a process that answers everybody alike; each client is a process of its own that asks for the same model
with the same prompt, and must return the same object. They are measured in turn, several rounds; a ratio is taken
within a round, because what else the machine does changes. The peers live in environments of their own, which uv makes.
Ours reserves and reports each attempt with a quota in its process; nobody else does.

    uv run python packages/llm/bench/structured_calls.py [--quick] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
OURS, CREATE = "ours", "create"
PEERS: Mapping[str, tuple[str, ...]] = {
    "instructor": ("instructor==1.17.0",),
    "pydantic-ai": ("pydantic-ai-slim[openai]==2.68.0",),
    "LiteLLM": ("litellm==1.106.2",),
    "LangChain": ("langchain-openai==1.7.4",),
}
NAMES = (OURS, CREATE, *PEERS)
PAIRS = "reservation"
LAG = "landing together"

Found = dict[str, list[float]]
"""What each row measured, by round; a row that could not be measured has none."""


class Client:
    """A client in a process of its own, which measures on demand.

    Args:
        command: What starts it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self.answer: object = None

    def __enter__(self) -> Self:
        """Start it, and have it answer once."""
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except FileNotFoundError:
            return self
        self.answer = self._line().get("answer")
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def measure(self, what: str, calls: int) -> list[float]:
        """Return a measurement; nothing if the process could not start, or is gone."""
        if self.answer is None or self._process is None or self._process.stdin is None:
            return []
        self._process.stdin.write(json.dumps({"measure": what, "calls": calls}) + "\n")
        self._process.stdin.flush()
        value = self._line().get("value")
        return [] if value is None else [float(value)]

    def _line(self) -> dict[str, Any]:
        """Read what it says; nothing if it has ended."""
        if self._process is None or self._process.stdout is None:
            return {}
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {}


def command(name: str, url: str) -> tuple[str, ...]:
    """Return what starts a client: ours and the SDK's here, a peer in an environment of its own."""
    script = (str(HERE / "structured_clients.py"), name, url)
    if name not in PEERS:
        return (sys.executable, *script)
    packages = [f"--with={pin}" for pin in PEERS[name]]
    environment = ("--no-project", "--isolated", "--python", sys.executable, *packages)
    return (os.environ.get("UV", "uv"), "run", "--quiet", *environment, *script)


def measure_rounds(url: str, rounds: int, calls: int) -> Found:
    """Measure everything in turn, several rounds."""
    found: Found = {row: [] for row in (*NAMES, *(f"{name}, {LAG}" for name in NAMES), PAIRS)}
    with ExitStack() as stack:
        clients = {name: stack.enter_context(Client(command(name, url))) for name in NAMES}
        check_alike(clients)
        for _ in range(rounds):
            for name, client in clients.items():
                found[name] += client.measure("cpu", calls)
            for name, client in clients.items():
                found[f"{name}, {LAG}"] += client.measure("lag", calls)
            found[PAIRS] += clients[OURS].measure("pairs", calls)
    return found


def check_alike(clients: Mapping[str, Client]) -> None:
    """See that all clients return the same object."""
    expected = clients[CREATE].answer
    if other := [name for name, client in clients.items() if client.answer not in (None, expected)]:
        sys.exit(f"{', '.join(other)} returned another answer than create")


def lines_of(found: Mapping[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, values in found.items():
        if values:
            unit = "ms of loop" if row.endswith(LAG) else "ms CPU"
            spread = [round(min(values), 3), round(max(values), 3)]
            yield {"row": row, "value": round(statistics.median(values), 3), "unit": unit, "spread": spread}
    best = min(PEERS, key=lambda peer: statistics.median(found[peer] or [float("inf")]))
    complete = all(found[peer] for peer in PEERS)
    yield claim("CPU per typed answer, at most 1.2 x create's", ratio(found, OURS, CREATE), 1.2)
    yield claim(
        "CPU per typed answer, at most 0.6 x the best peer's", ratio(found, OURS, best if complete else ""), 0.6
    )
    yield claim("CPU of a reservation with its report, at most 1 ms", found[PAIRS], 1.0)
    yield claim(
        "loop held up by 50 answers landing together, at most 1 x create's",
        ratio(found, f"{OURS}, {LAG}", f"{CREATE}, {LAG}"),
        1.0,
    )


def ratio(found: Mapping[str, list[float]], ours: str, other: str) -> list[float]:
    """Compare two rows, round by round."""
    return [mine / theirs for mine, theirs in zip(found[ours], found.get(other, []), strict=False)]


def claim(text: str, values: Sequence[float], goal: float) -> dict[str, Any]:
    """State a goal; what could not be measured is not met."""
    value = round(statistics.median(values), 2) if values else 0.0
    return {"claim": text, "value": value, "goal": goal, "met": bool(values) and value <= goal}


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        low, high = row["spread"]
        print(f"{row['row']:{width}}  {row['value']:>8.3f}  {row['unit']}  ({low:.3f} to {high:.3f})")
    for line in (line for line in lines if "claim" in line):
        print(f"{line['claim']}: {line['value']:.2f}, {'met' if line['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--calls", type=int, help="how many answers each measurement takes")
    options = parser.parse_args()
    rounds, calls = (2, 50) if options.quick else (7, 200)
    server = subprocess.Popen((sys.executable, str(HERE / "structured_server.py")), stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip() if server.stdout else ""
        lines = list(lines_of(measure_rounds(url, options.rounds or rounds, options.calls or calls)))
    finally:
        server.kill()
        server.communicate()
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
