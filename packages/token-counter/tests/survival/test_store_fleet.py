"""Three counters on one Valkey and a crowd of processes, while counters and the server are killed, rolled and stalled.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 200 processes).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import random
import runpy
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby, permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from penstock_token_client import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from caller_processes import calling
    from killable_counter import KillableCounter
    from valkey_process import ValkeyProcess
else:
    HERE = Path(__file__).parent
    calling = runpy.run_path(str(HERE / "caller_processes.py"))["calling"]
    KillableCounter = runpy.run_path(str(HERE / "killable_counter.py"))["KillableCounter"]
    ValkeyProcess = runpy.run_path(str(HERE.parent / "valkey_process.py"))["ValkeyProcess"]

_log = logging.getLogger(__name__)

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
ONLY_FULL = pytest.mark.skipif(not FULL, reason="takes minutes")
CALLERS = 200 if FULL else 30
KILLS = 12 if FULL else 2
STALL = 20.0 if FULL else 4.0
HOLD = 1.0  # seconds for which a caller between two polls keeps its turn; more than usual, for a busy machine
# The margin is wide because a busy machine may bring a grant late; the window is what Azure would count.
WINDOW, MARGIN = (20.0, 4.0) if FULL else (5.0, 2.0)
SPAN = WINDOW + MARGIN
LATE = MARGIN  # seconds by which an event may be seen late; a grant that is later breaks the limit, too
TOKENS = 100 if FULL else 500
LIMITS = Limits(tpm=10_000, rpm=400, window=WINDOW, sub_window=WINDOW, headroom=0.0, margin=MARGIN, sub_margin=0.1)
WEIGHTS = {"light": 1, "heavy": 3}


class Arrival(NamedTuple):
    """What reached the model's endpoint, with its caller's account of the wait: see `waiting_callers.Wait`."""

    at: float
    app: str
    caller: int
    asked: float
    told: float
    breaks: tuple[tuple[float, float], ...]
    lasts: float

    def stood(self, since: float, until: float) -> bool:
        """Tell whether its caller stood in the line all that time, or had its turn held."""
        gone = [(begin, end) for begin, end in self.breaks if end > begin + HOLD]
        return self.told <= since and all(end < since or until < begin for begin, end in gone)

    def away(self) -> float:
        """Return for how many seconds its caller was away at most."""
        return max((end - begin for begin, end in self.breaks), default=0.0)


class Judge:
    """Counts what arrives, as the model's endpoint would."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    async def listen(self, callers: asyncio.subprocess.Process) -> None:
        """Take note of what callers send."""
        assert callers.stdout is not None
        async for line in callers.stdout:
            facts = json.loads(line)
            facts["breaks"] = tuple(tuple(each) for each in facts["breaks"])
            self.arrivals.append(Arrival(*(facts[name] for name in Arrival._fields)))

    def most(self) -> float:
        """Return the largest share of the limit that any window held, so for any phase."""
        _log.info("a grant was under way for %.2f s at most", SPAN - min(arrival.lasts for arrival in self.arrivals))
        times = sorted(arrival.at for arrival in self.arrivals)
        most = max(sum(start <= at < start + WINDOW for at in times) for start in times) * TOKENS / LIMITS.tpm
        _log.info("largest window: %.3f of the limit", most)
        return most

    async def until_full(self) -> float:
        """Wait until what arrives from now on fills 95 % of a window and its margin; return the seconds it took."""
        began = time.monotonic()
        enough = 0.95 * LIMITS.tpm / TOKENS
        async with asyncio.timeout(30 + 4 * SPAN):
            while sum(arrival.at > max(began, time.monotonic() - SPAN) for arrival in self.arrivals) < enough:
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def until_everybody_arrived(self) -> None:
        """Wait until each caller has sent something from now on: nobody's place is lost for good."""
        began = time.monotonic()
        async with asyncio.timeout(60 + 20 * SPAN):
            while len({arrival.caller for arrival in self.arrivals if arrival.at > began}) < CALLERS:
                await asyncio.sleep(0.1)

    def between(self, since: float, until: float) -> list[Arrival]:
        """Return what arrived in some time."""
        return [arrival for arrival in self.arrivals if since <= arrival.at < until]


class Balancer:
    """Hands each connection to one of the counters that accept it."""

    def __init__(self, counters: list[KillableCounter]) -> None:
        self.url = ""
        self._counters = counters
        self._chance = random.Random(1)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen, from here on."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await self._connect()
            await asyncio.wait(
                [asyncio.ensure_future(copy(reader, back)), asyncio.ensure_future(copy(there, writer))],
                return_when=asyncio.ALL_COMPLETED,
            )
        writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for counter in self._chance.sample(self._counters, len(self._counters)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", int(counter.url.rpartition(":")[2]))
        raise ConnectionRefusedError


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, to its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def crowded(
    valkey: ValkeyProcess, judge: Judge, counters: int = 3, **settings: Any
) -> AsyncIterator[list[KillableCounter]]:
    """Have the crowd wait at so many counters."""
    settings |= {"store": valkey.url, "sharing": {"weights": WEIGHTS, "hold": HOLD}}
    fleet = [KillableCounter(None, LIMITS, "shared_counter.py", **settings) for _ in range(counters)]
    balancer = Balancer(fleet)
    async with AsyncExitStack() as stack:
        for counter in fleet:
            await stack.enter_async_context(counter.serving())
        await stack.enter_async_context(balancer.listening())
        facts = {"url": balancer.url, "callers": CALLERS, "tokens": TOKENS, "apps": list(WEIGHTS)}
        await stack.enter_async_context(calling({**facts, "poll": WINDOW, "longest_pause": 1.0}, judge.listen))
        await judge.until_full()
        yield fleet


def passed(arrivals: list[Arrival]) -> list[tuple[Arrival, Arrival]]:
    """Return who stood in the line, or had its turn held, and was passed by somebody of its app who asked later."""
    return [
        (early, late)
        for early, late in permutations(arrivals, 2)
        if early.app == late.app
        and early.told < late.asked
        and late.at + LATE < early.at
        and early.stood(late.at - LATE, late.at)
    ]


def most_overtaken(some: list[Arrival], arrivals: list[Arrival]) -> tuple[int, float]:
    """Return by how many that asked later one of some was overtaken at most, and by how many seconds; for the log."""
    overtaken = Counter[Arrival]()
    longest = 0.0
    for early, late in product(some, arrivals):
        if early.app == late.app and early.told < late.asked and late.at < early.at:
            overtaken[early] += 1
            longest = max(longest, early.at - late.at)
    return max(overtaken.values(), default=0), longest


def was_held(arrival: Arrival) -> bool:
    """Tell whether its caller was never away for longer than its turn is held."""
    return arrival.away() <= HOLD


def see_order_and_shares(arrivals: list[Arrival], what: str) -> None:
    """See that apps have their shares, and that nobody who stood in the line was passed."""
    heavy = sum(arrival.app == "heavy" for arrival in arrivals) / len(arrivals)
    _log.info("%s: %d arrivals, the heavy app has %.3f of them", what, len(arrivals), heavy)
    for kept, some in groupby(sorted(arrivals, key=was_held), was_held):
        waits = list(some)
        overtaken, seconds = most_overtaken(waits, arrivals)
        _log.info(
            "%s, %d waits %s: overtaken by %d and %.2f s at most, away for %.2f s at most",
            *(what, len(waits), "whose turn was held" if kept else "with a longer break"),
            *(overtaken, seconds, max(wait.away() for wait in waits)),
        )
    assert 0.65 <= heavy <= 0.85
    assert passed(arrivals) == []


async def test_three_counters_are_as_good_as_one_and_better_when_they_are_killed() -> None:
    judge, chance = Judge(), random.Random(1)
    took: list[float] = []
    with ValkeyProcess() as valkey:
        async with crowded(valkey, judge) as counters:
            calm = time.monotonic()
            await asyncio.sleep(2 * SPAN)
            killed = time.monotonic()
            for number in range(KILLS):
                counter = counters[number % 3]
                await (counter.kill() if chance.random() < 0.5 or number == 0 else counter.terminate())
                took.append(await judge.until_full())
                _log.info("full again %.1f s after a counter ended", took[-1])
                await counter.start()
                await counter.listens()
            await judge.until_everybody_arrived()

    peaceful, violent = judge.between(calm, killed), judge.between(killed, math.inf)
    see_order_and_shares(peaceful, "three counters")
    see_order_and_shares(violent, "three counters, of which one after the other ended")
    assert max(took) <= 2 * SPAN
    assert len(peaceful) * TOKENS >= 0.9 * LIMITS.tpm * (killed - calm) / SPAN - LIMITS.tpm
    assert judge.most() <= 1


@ONLY_FULL
async def test_one_counter_sets_the_measure_for_order_and_shares() -> None:
    judge = Judge()
    with ValkeyProcess() as valkey:
        async with crowded(valkey, judge, counters=1):
            began = time.monotonic()
            await asyncio.sleep(2 * SPAN)

    see_order_and_shares(judge.between(began, math.inf), "one counter")
    assert judge.most() <= 1


@ONLY_FULL
async def test_the_judge_finds_a_line_without_order() -> None:
    judge = Judge()
    with ValkeyProcess() as valkey:
        async with crowded(valkey, judge, faulty=True), asyncio.timeout(60 + 20 * SPAN):
            while not passed(judge.arrivals):
                await asyncio.sleep(0.1)


async def test_a_store_that_fails_in_every_way_costs_time_and_nothing_else() -> None:
    judge = Judge()
    with ValkeyProcess() as valkey:
        async with crowded(valkey, judge):
            valkey.kill()
            await asyncio.sleep(1.0)
            valkey.start()
            _log.info("full again %.1f s after the store knew nothing", await judge.until_full())
            valkey.pause()
            await asyncio.sleep(STALL)
            valkey.go_on()
            _log.info("full again %.1f s after the store stalled", await judge.until_full())

    assert judge.most() <= 1
