"""Two apps of weights 1 and 3 under backlog, over the wire, and a judge that counts what each sends."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from penstock_token_client import Limits, Sharing, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMITS = Limits(tpm=10_000, rpm=2_000, window=1.5, sub_window=1.5, headroom=0.0, margin=0.1)
SHARING = Sharing(weights={"light": 1, "heavy": 3})
LARGEST = {"light": 450, "heavy": 900}
CALLERS = 40
"""Of each app: more than a window has room for, so that some wait also where it takes a caller a while to come back."""


class Judge:
    """Counts the tokens that each app sends."""

    def __init__(self) -> None:
        self._sent = dict.fromkeys(LARGEST, 0)
        self._arrived = asyncio.Event()

    def arrive(self, app: str, tokens: int) -> None:
        self._sent[app] += tokens
        self._arrived.set()

    async def until(self, app: str) -> None:
        """Wait until an app sends something."""
        self._sent = dict.fromkeys(LARGEST, 0)
        while not self._sent[app]:
            await self._next()

    async def shares(self, windows: int) -> dict[str, float]:
        """Return what share each app has of all that is sent from now on until so many windows could be full."""
        began, self._sent = time.monotonic(), dict.fromkeys(LARGEST, 0)
        while sum(self._sent.values()) < windows * LIMITS.tpm:
            await self._next()
        assert time.monotonic() - began < 10 * windows * LIMITS.window, "capacity lies idle"
        return {app: tokens / sum(self._sent.values()) for app, tokens in self._sent.items()}

    async def _next(self) -> None:
        self._arrived.clear()
        async with asyncio.timeout(60):
            await self._arrived.wait()


@asynccontextmanager
async def backlog(app: str, url: str, judge: Judge) -> AsyncIterator[None]:
    """Have a crowd of callers wait for an app, one request after the other."""
    chance = random.Random(app)

    async def work(client: TokenClient) -> None:
        while True:
            tokens = chance.randint(LARGEST[app] // 3, LARGEST[app])
            async with client.reserve(tokens) as reservation:
                judge.arrive(app, tokens)
                await reservation.report(prompt_tokens=tokens, completion_tokens=0)

    async with TokenClient(app, url) as client:
        callers = [asyncio.ensure_future(work(client)) for _ in range(CALLERS)]
        try:
            yield
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)


async def test_two_apps_hold_their_shares_and_one_that_rested_has_saved_nothing_up() -> None:
    judge = Judge()
    async with (
        TokenCounter({"completion": LIMITS}, assume_idle=True, sharing={"completion": SHARING}) as counter,
        backlog("light", counter.url, judge),
    ):
        async with backlog("heavy", counter.url, judge):
            await judge.until("heavy")
            await judge.shares(windows=1)  # the first windows are handed out before there is a backlog
            both = await judge.shares(windows=3)
        await judge.shares(windows=1)
        alone = await judge.shares(windows=2)
        async with backlog("heavy", counter.url, judge):
            await judge.until("heavy")
            again = await judge.shares(windows=3)

    for shares in (both, again):
        assert shares["heavy"] == pytest.approx(0.75, abs=0.05)
    assert alone == {"light": 1.0, "heavy": 0.0}
