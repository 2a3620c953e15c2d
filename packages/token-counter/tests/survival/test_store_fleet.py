"""Three counters on one Valkey and a crowd of processes, while counters and the server are killed, rolled and stalled.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 200 processes).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import runpy
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from penstock_token_client import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from killable_counter import KillableCounter
    from valkey_process import ValkeyProcess
else:
    HERE = Path(__file__).parent
    KillableCounter = runpy.run_path(str(HERE / "killable_counter.py"))["KillableCounter"]
    ValkeyProcess = runpy.run_path(str(HERE.parent / "valkey_process.py"))["ValkeyProcess"]

_log = logging.getLogger(__name__)

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
SCRIPT = Path(__file__).with_name("waiting_callers.py")
CALLERS = 200 if FULL else 30
KILLS = 12 if FULL else 2
STALL = 20.0 if FULL else 4.0
LATE = 2.0  # seconds by which a busy machine may show an event late
# The margin is wide because a busy machine may bring a grant late; the window is what Azure would count.
WINDOW, MARGIN = (20.0, 2.0) if FULL else (5.0, 2.0)
SPAN = WINDOW + MARGIN
TOKENS = 100 if FULL else 500
LIMITS = Limits(tpm=10_000, rpm=400, window=WINDOW, sub_window=WINDOW, headroom=0.0, margin=MARGIN, sub_margin=0.1)
WEIGHTS = {"light": 1, "heavy": 3}


class Arrival(NamedTuple):
    """What reached the model's endpoint."""

    at: float
    asked: float
    app: str


class Judge:
    """Counts what arrives, as the model's endpoint would."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    async def listen(self, callers: asyncio.subprocess.Process) -> None:
        """Take note of what callers send."""
        assert callers.stdout is not None
        async for line in callers.stdout:
            at, asked, app = line.decode().split()
            self.arrivals.append(Arrival(float(at), float(asked), app))

    def most(self) -> float:
        """Return the largest share of the limit that any window held, so for any phase."""
        times = sorted(arrival.at for arrival in self.arrivals)
        return max(sum(start <= at < start + WINDOW for at in times) for start in times) * TOKENS / LIMITS.tpm

    async def until_full(self) -> float:
        """Wait until what arrives from now on fills 95 % of a window and its margin; return the seconds it took."""
        began = time.monotonic()
        enough = 0.95 * LIMITS.tpm / TOKENS
        async with asyncio.timeout(30 + 4 * SPAN):
            while sum(arrival.at > max(began, time.monotonic() - SPAN) for arrival in self.arrivals) < enough:
                await asyncio.sleep(0.01)
        return time.monotonic() - began

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
async def calling(url: str, judge: Judge) -> AsyncIterator[None]:
    """Have a crowd of processes wait, and send to the judge what they are granted; all are gone afterwards."""
    facts = {"url": url, "callers": CALLERS, "tokens": TOKENS, "poll": WINDOW, "longest_pause": 1.0}
    callers = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), json.dumps({**facts, "apps": list(WEIGHTS)})),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    listening = asyncio.ensure_future(judge.listen(callers))
    try:
        yield
    finally:
        os.killpg(callers.pid, signal.SIGKILL)
        await callers.wait()
        await listening


@asynccontextmanager
async def crowded(valkey: ValkeyProcess, judge: Judge) -> AsyncIterator[list[KillableCounter]]:
    """Have the crowd wait at three counters."""
    sharing = {"weights": WEIGHTS, "hold": 1.0}
    counters = [KillableCounter(None, LIMITS, "shared_counter.py", store=valkey.url, sharing=sharing) for _ in range(3)]
    balancer = Balancer(counters)
    async with AsyncExitStack() as stack:
        for counter in counters:
            await stack.enter_async_context(counter.serving())
        await stack.enter_async_context(balancer.listening())
        await stack.enter_async_context(calling(balancer.url, judge))
        await judge.until_full()
        yield counters


def passed(arrivals: list[Arrival]) -> list[tuple[Arrival, Arrival]]:
    """Return who was passed by somebody of its app who asked later."""
    return [
        (early, late)
        for early in arrivals
        for late in arrivals
        if early.app == late.app and early.asked + LATE < late.asked and late.at + LATE < early.at
    ]


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
            ended = time.monotonic()

    peaceful, violent = judge.between(calm, killed), judge.between(killed, ended)
    for arrivals in (peaceful, violent):
        heavy = sum(arrival.app == "heavy" for arrival in arrivals) / len(arrivals)
        _log.info("%d arrivals, the heavy app has %.3f of them", len(arrivals), heavy)
        assert 0.65 <= heavy <= 0.85
    assert passed(peaceful) == []
    assert max(took) <= 2 * SPAN
    assert len(peaceful) * TOKENS >= 0.9 * LIMITS.tpm * (killed - calm) / SPAN - LIMITS.tpm
    _log.info("largest window: %.3f of the limit", judge.most())
    assert judge.most() <= 1


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

    _log.info("largest window: %.3f of the limit", judge.most())
    assert judge.most() <= 1
