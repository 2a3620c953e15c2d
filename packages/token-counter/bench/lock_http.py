"""`/lock` calls a second of the counter, against a trivial aiohttp handler that does nothing but JSON.

All are processes of their own, and so is the load. Each round starts the servers anew and loads them in turn, a fifth
of a second each; a ratio is taken within a round, because what else the machine does changes. Two free cores are
needed, one for a server and one for the load. Every `/lock` is a real grant under a key of its own, every answer is
checked, and the limits are so large that none binds.

    uv run python packages/token-counter/bench/lock_http.py [--quick] [--json] [--disk DIR]
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COUNTER = ("-m", "penstock_token_counter", "--assume-idle", "--json", "--port", "0")
ENDLESS = ("--tpm", str(10**15), "--rpm", str(10**12))
PEER = "trivial handler"
SERVERS = {PEER: (str(HERE / "trivial_server.py"),), "memory": COUNTER + ENDLESS, "journal": COUNTER + ENDLESS}
UNITS = {"lock": "calls/s", "pairs": "pairs/s"}
GOALS = {"memory": 0.8, "journal": 0.5}

Row = tuple[str, str]
"""Which calls, and which server."""


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[str]:
    """Run a server that says where it listens; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
    try:
        assert process.stdout is not None  # noqa: S101, a pipe was asked for
        async with asyncio.timeout(30):
            said = await process.stdout.readline()
        yield str(json.loads(said)["url"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def loaded(urls: Sequence[str], calls: str, seconds: float) -> list[float]:
    """Load servers in turn, and return how much each answered a second."""
    arguments = (str(HERE / "lock_load.py"), calls, "--seconds", str(seconds), *urls)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
    said, _ = await process.communicate()
    results = [json.loads(line) for line in said.splitlines()]
    for server, result in zip(SERVERS, results, strict=True):
        if server != PEER and result["ids"] != result["granted"]:
            raise ValueError(f"{server} gave one grant to two callers, so its numbers are void: {result}")
    return [float(result["rate"]) for result in results]


async def measure_round(seconds: float, disk: str | None) -> dict[Row, float]:
    """Start the servers anew, and load each in turn."""
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=disk))
        options = {"journal": ("--journal", folder)}
        urls = [
            await stack.enter_async_context(serving(*arguments, *options.get(server, ())))
            for server, arguments in SERVERS.items()
        ]
        return {
            (calls, server): rate
            for calls in UNITS
            for server, rate in zip(SERVERS, await loaded(urls, calls, seconds), strict=True)
        }


async def measure_rounds(rounds: int, seconds: float, disk: str | None) -> dict[Row, list[float]]:
    """Measure everything, several rounds."""
    found = [await measure_round(seconds, disk) for _ in range(rounds)]
    return {row: [rates[row] for rates in found] for row in found[0]}


def lines_of(found: Mapping[Row, list[float]]) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for (calls, server), values in found.items():
        spread = [round(min(values)), round(max(values))]
        name = "/lock" if calls == "lock" else "/lock and /report"
        yield {"row": f"{name}, {server}", "value": round(statistics.median(values)), "unit": UNITS[calls]} | {
            "spread": spread
        }
    for server, goal in GOALS.items():
        pairs = zip(found["lock", server], found["lock", PEER], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        claim = f"/lock calls per second with {server}, at least {goal} x a trivial aiohttp handler"
        yield {"claim": claim, "value": round(ratio, 2), "goal": goal, "met": ratio >= goal}


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        low, high = row["spread"]
        print(f"{row['row']:{width}}  {row['value']:>7,}  {row['unit']}  ({low:,} to {high:,})")
    for claim in (line for line in lines if "claim" in line):
        print(f"{claim['claim']}: {claim['value']:.2f}, {'met' if claim['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="how long each measurement takes")
    parser.add_argument("--disk", help="a directory on the disk for the journal (default: that of temporary files)")
    options = parser.parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (5, 3.0)
    found = asyncio.run(measure_rounds(options.rounds or rounds, options.seconds or seconds, options.disk))
    lines = list(lines_of(found))
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
