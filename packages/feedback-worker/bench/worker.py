"""CPU per message of the whole worker, against the same job on the bare SDKs, written well.

Both are processes of their own on the same local stand-ins, in turn, several rounds. CPU is user + system time of the
worker process by the operating system's account, from its first message to its last; start-up is left out.

    uv run python packages/feedback-worker/bench/worker.py [--quick] [--json]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from feedback_worker._child import Child
from feedback_worker._endpoints import Endpoints, start_local_endpoints
from feedback_worker._feeder import Account, feed, messages_of
from feedback_worker._fleet import Fleet
from feedback_worker._inputs import read_inputs
from feedback_worker._options import parse_options
from penstock_servicebus import open_client

GOAL = 1.5
UNLIMITED = ["--local", "--tpm", "100000000", "--rpm", "100000", "--judge", "exact", "--seed", "1"]


async def start_ours(endpoints: Endpoints, folder: Path) -> Child:
    """Start our worker."""
    arguments = ["--in-queue", "feedback-in", "--out-queue", "feedback-out", "--concurrency", "16"]
    arguments += ["--logs", str(folder / "logs"), "--acknowledged", str(folder / "acknowledged")]
    return await Child.start("ours", "feedback_worker._worker", arguments, endpoints.environment)


async def start_bare(endpoints: Endpoints, folder: Path) -> Child:
    """Start the peer."""
    arguments = ["--in-queue", "feedback-in", "--out-queue", "feedback-out", "--log", str(folder / "bare.log")]
    environment = {**endpoints.environment, "PYTHONPATH": str(Path(__file__).parent)}
    return await Child.start("bare", "bare_worker", arguments, environment)


ROWS = {"worker": start_ours, "bare SDKs": start_bare}


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def completed(stats_url: str) -> int:
    """Return how many messages of the in-queue are completed, by the broker's account."""
    async with aiohttp.ClientSession() as session, session.get(stats_url) as response:
        return int((await response.json())["service_bus"]["queues"]["feedback-in"]["completed"])


async def until_completed(stats_url: str, count: int, within: float) -> None:
    """Wait until the broker has seen `count` messages completed."""
    async with asyncio.timeout(within):
        while await completed(stats_url) < count:
            await asyncio.sleep(0.05)


async def measure(row: str, endpoints: Endpoints, count: int) -> float:
    """Have one worker handle `count` messages, and return its CPU per message in ms."""
    stats_url = str(endpoints.stats_url)
    texts = read_inputs(None).texts
    with tempfile.TemporaryDirectory() as folder:
        child = await ROWS[row](endpoints, Path(folder))
        try:
            await child.ready(60)
            before, cpu = await completed(stats_url), cpu_seconds(child.pid)
            messages = list(messages_of(f"bench-{time.monotonic_ns()}", texts, count))
            async with open_client(endpoints.environment) as bus:
                with Account(Path(folder) / "ids") as account:
                    await feed(bus, "feedback-in", messages, account)
            await until_completed(stats_url, before + count, within=120)
            return (cpu_seconds(child.pid) - cpu) / count * 1000
        finally:
            await child.stop(30)


@asynccontextmanager
async def local_endpoints() -> AsyncIterator[Endpoints]:
    """Start stand-ins whose quota never binds."""
    services = Fleet()
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield await start_local_endpoints(parse_options(UNLIMITED), services, Path(folder))
        finally:
            await services.stop(10)


async def measure_rounds(rounds: int, count: int) -> dict[str, list[float]]:
    """Measure every row in turn, several rounds."""
    found: dict[str, list[float]] = {row: [] for row in ROWS}
    async with local_endpoints() as endpoints:
        for _ in range(rounds):
            for row, values in found.items():
                values.append(await measure(row, endpoints, count))
    return found


def lines_of(found: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Turn measurements into rows and the claim."""
    unit = "ms CPU per message"
    lines: list[dict[str, Any]] = [
        {
            "row": row,
            "value": round(statistics.median(values), 2),
            "unit": unit,
            "spread": [round(min(values), 2), round(max(values), 2)],
        }
        for row, values in found.items()
    ]
    ratio = statistics.median(ours / bare for ours, bare in zip(found["worker"], found["bare SDKs"], strict=True))
    claim = f"CPU per message at most {GOAL} x the same job on the bare SDKs"
    return [*lines, {"claim": claim, "value": round(ratio, 2), "goal": GOAL, "met": ratio <= GOAL}]


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    table = Table("", "median", "spread", "unit")
    for line in lines:
        if "row" in line:
            table.add_row(line["row"], f"{line['value']:.2f}", "{:.2f} to {:.2f}".format(*line["spread"]), line["unit"])
    console = Console()
    console.print(table)
    claim = lines[-1]
    console.print(f"{claim['claim']}: {claim['value']:.2f}, {'met' if claim['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    rounds, count = (1, 200) if options.quick else (3, 500)
    lines = lines_of(asyncio.run(measure_rounds(rounds, count)))
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
