"""A counter that is restarted while a crowd of processes waits for it; counted in front of it, and where grants arrive.

`PENSTOCK_SURVIVAL` is "quick" (seconds, every time shortened) or "full" (minutes, 200 processes, times as they are).
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import runpy
import time
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from penstock_token_client import Limits
from penstock_token_client.protocol import TICKET_HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    from caller_processes import calling
    from killable_counter import KillableCounter
else:
    calling = runpy.run_path(str(Path(__file__).with_name("caller_processes.py")))["calling"]
    KillableCounter = runpy.run_path(str(Path(__file__).with_name("killable_counter.py")))["KillableCounter"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Length:
    """How long everything takes, in seconds, and how many callers there are.

    A busy machine may show an event ``late`` seconds late: closer ones may be seen in another order than they had.
    """

    callers: int
    tokens: int
    window: float
    poll: float
    cut: float
    late: float

    @property
    def limits(self) -> Limits:
        """A pool in which the tokens bind."""
        margin = self.window / 60
        return Limits(
            tpm=10_000, rpm=400, window=self.window, sub_window=self.window, headroom=0.0, margin=margin, sub_margin=0.1
        )


QUICK = Length(callers=40, tokens=250, window=3.0, poll=2.0, cut=1.0, late=1.0)
FULL = Length(callers=200, tokens=100, window=60.0, poll=60.0, cut=15.0, late=3.0)
LENGTH = FULL if os.environ.get("PENSTOCK_SURVIVAL") == "full" else QUICK
HOLD = 1.0  # seconds for which a caller between two polls keeps its turn; more than usual, for a busy machine


@dataclass(eq=False)
class Wish:
    """What is seen of one wish in front of the counter.

    Attributes:
        asked: When it was first asked.
        asks: How many asks reached a counter.
        stood: From when to when it stood in the line, and of which counter.
        granted: When it was granted.
    """

    asked: float
    asks: int = 0
    stood: list[tuple[float, float, int]] = field(default_factory=list)
    granted: float = math.inf

    @property
    def came(self) -> float:
        """When it was told its place, or when it asked if it never had one."""
        return self.stood[0][0] if self.stood else self.asked

    @contextmanager
    def standing(self, life: int) -> Iterator[None]:
        """Note that it stands in the line of one counter, for the length of a block."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.stood.append((since, time.monotonic(), life))

    def gaps(self) -> list[float]:
        """Return for how long it was away between two polls of one counter."""
        return [after[0] - before[1] for before, after in pairwise(self.stood) if before[2] == after[2]]

    def waits_through(self, since: float, until: float) -> bool:
        """Tell whether it stood in the line all that time, or its turn was held for it."""
        began = ended = life = math.inf
        for start, end, of in self.stood:
            if of != life or start > ended + HOLD:
                began, life = start, of
            ended = end
            if began <= since and until <= ended:
                return True
        return False

    def most_asks(self, per_poll: float, restarts: list[float]) -> float:
        """Return how often it may be asked: once, again for each poll that it waits, and for each restart."""
        restarts_met = sum(self.asked <= at <= self.granted for at in restarts)
        return 1 + (self.granted - self.asked) / per_poll + 0.1 + restarts_met


class Front:
    """Stands in front of the counter, hands everything on, and cuts what takes too long."""

    def __init__(self, counter: KillableCounter, cut: float | None) -> None:
        self.url = ""
        self.wishes: dict[str, Wish] = {}
        self.restarts: list[float] = []
        self.in_vain = 0  # asks that found no counter
        self._counter = counter
        self._cut = cut
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hand on one request, and the headers of its answer as soon as they come."""
        body = await request.read()
        wish = self._wish(request.path, body)
        life = len(self.restarts)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            async with (
                asyncio.timeout(self._cut),
                self._session.post(self._counter.url + request.path, data=body) as answer,
            ):
                if TICKET_HEADER in answer.headers:
                    response.headers[TICKET_HEADER] = answer.headers[TICKET_HEADER]
                await response.prepare(request)
                with wish.standing(life) if TICKET_HEADER in answer.headers else nullcontext():
                    said = await answer.read()
        except aiohttp.ClientConnectorError:
            wish.asks -= 1
            self.in_vain += 1
            return self._hang_up(request, response)
        except (aiohttp.ClientError, TimeoutError):
            return self._hang_up(request, response)
        if request.path == "/lock" and json.loads(said)["allowed"]:
            wish.granted = time.monotonic()
        await response.write_eof(said)
        return response

    def granted(self) -> list[Wish]:
        """Return the wishes that are granted."""
        return [wish for wish in self.wishes.values() if wish.granted < math.inf]

    async def until_all_who_wait_are_granted(self, within: float) -> None:
        """Wait until everybody who waits now is granted."""
        waiting = [wish for wish in self.wishes.values() if wish.granted == math.inf]
        async with asyncio.timeout(within):
            while any(wish.granted == math.inf for wish in waiting):
                await asyncio.sleep(0.05)

    def _wish(self, path: str, body: bytes) -> Wish:
        """Count an ask; what is none is counted where nobody looks."""
        wish = Wish(time.monotonic())
        if path == "/lock":
            wish = self.wishes.setdefault(json.loads(body)["idempotency_key"], wish)
        wish.asks += 1
        return wish

    def _hang_up(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Break the connection."""
        if request.transport is not None:
            request.transport.abort()
        return response

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen, from here on."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()
            await self._session.close()


class Judge:
    """Counts what arrives, as the model's endpoint would."""

    def __init__(self, length: Length) -> None:
        self.arrivals: list[float] = []
        self._length = length

    async def listen(self, callers: asyncio.subprocess.Process) -> None:
        """Take note of what callers send."""
        assert callers.stdout is not None
        async for line in callers.stdout:
            self.arrivals.append(json.loads(line)["at"])

    def most(self) -> float:
        """Return the largest share of any window, less what a grant may be late."""
        limits, arrivals = self._length.limits, sorted(self.arrivals)
        window = limits.window + limits.margin - self._length.late
        most = max(sum(start <= at < start + window for at in arrivals[n:]) for n, start in enumerate(arrivals))
        return most * self._length.tokens / limits.tpm

    async def until_full(self, within: float) -> float:
        """Wait until what arrives from now on fills 95 % of a window, and return how many seconds that took."""
        began = time.monotonic()
        enough = 0.95 * self._length.limits.tpm / self._length.tokens
        async with asyncio.timeout(within):
            while sum(at > max(began, time.monotonic() - self._length.window) for at in self.arrivals) < enough:
                await asyncio.sleep(0.01)
        return time.monotonic() - began


def crowd(url: str, length: Length, judge: Judge) -> AbstractAsyncContextManager[None]:
    """Have a crowd of processes wait, and send to the judge what they are granted."""
    facts = {"url": url, "callers": length.callers, "tokens": length.tokens, "poll": length.poll}
    return calling({**facts, "longest_pause": min(5.0, length.cut)}, judge.listen)


async def restart(counter: KillableCounter, front: Front, how: str) -> None:
    """End the counter in some way, and start the next one."""
    await (counter.kill() if how == "kill" else counter.terminate())
    front.restarts.append(time.monotonic())
    await counter.start()
    await counter.listens()


def passed(wishes: list[Wish], late_by: float) -> list[tuple[Wish, Wish]]:
    """Return who stood in the line, or had its turn held, and was passed by whom who came later."""
    return [
        (early, late)
        for early in wishes
        for late in wishes
        if early.came + late_by < late.came
        and late.granted + late_by < early.granted
        and early.waits_through(late.granted - late_by, late.granted + late_by)
    ]


@pytest.mark.parametrize("cut", [None, LENGTH.cut], ids=["direct", "through-a-proxy-that-cuts"])
async def test_a_restarted_counter_is_full_again_soon_and_keeps_every_place(tmp_path: Path, cut: float | None) -> None:
    length = LENGTH
    counter = KillableCounter(tmp_path, length.limits, sharing={"hold": HOLD})
    front, judge = Front(counter, cut), Judge(length)
    async with counter.serving(), front.listening(), crowd(front.url, length, judge):
        await judge.until_full(within=60 + 2 * length.window)
        for how in ("kill", "terminate"):
            await restart(counter, front, how)
            _log.info("full again %.2f s after %s", await judge.until_full(within=2 * length.window), how)
            await front.until_all_who_wait_are_granted(within=60 + 5 * length.window)

    granted = front.granted()
    asks = sum(wish.asks for wish in granted)
    most_asks = sum(wish.most_asks(cut or length.poll, front.restarts) for wish in granted)
    gaps = sorted(gap for wish in granted for gap in wish.gaps())
    _log.info("%d grants, %d asks, %.0f allowed, %d in vain", len(granted), asks, most_asks, front.in_vain)
    _log.info("gaps between polls: median %.2f s, 90 %% below %.2f s", gaps[len(gaps) // 2], gaps[len(gaps) * 9 // 10])
    _log.info("largest window: %.3f of the limit", judge.most())
    assert len(granted) > 2 * length.callers
    assert asks <= most_asks
    assert passed(list(front.wishes.values()), length.late) == []
    assert gaps[len(gaps) // 2] < HOLD
    assert judge.most() <= 1
