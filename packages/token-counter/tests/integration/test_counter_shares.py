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
LARGEST = {"light": 150, "heavy": 300}
CALLERS = 100
"""Of each app: more than a window grants, so that somebody waits at any time, however slow the machine is."""


class Judge:
    """Counts the tokens that each app sends."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, str, int]] = []

    def arrive(self, app: str, tokens: int) -> None:
        self.arrivals.append((time.monotonic(), app, tokens))

    async def shares(self, windows: float) -> dict[str, float]:
        """Return what each app sends over so many windows from now, as a share of all that the limit allows."""
        since, length = time.monotonic(), windows * LIMITS.window
        await asyncio.sleep(length)
        sent = dict.fromkeys(LARGEST, 0)
        for at, app, tokens in self.arrivals:
            sent[app] += tokens if since <= at < since + length else 0
        return {app: tokens / (windows * LIMITS.tpm) for app, tokens in sent.items()}


async def waiting(client: TokenClient) -> dict[str, int]:
    """Return how many callers of each app wait."""
    status = await client.get_status()
    assert status is not None
    return dict(status["queue"])


@asynccontextmanager
async def backlog(app: str, url: str, judge: Judge) -> AsyncIterator[None]:
    """Have a crowd of callers wait for an app, one request after the other; begin when most of them do."""
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
            while (await waiting(client)).get(app, 0) < CALLERS / 2:
                await asyncio.sleep(0.02)
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
            await judge.shares(windows=1)  # light got the whole of the first one
            both = await judge.shares(windows=2)
        alone = await judge.shares(windows=2)
        async with backlog("heavy", counter.url, judge):
            again = await judge.shares(windows=2)

    for shares in (both, again):
        assert shares["heavy"] / sum(shares.values()) == pytest.approx(0.75, abs=0.05)
        assert sum(shares.values()) > 0.3
    assert alone["light"] > 0.4  # more than its quarter
    assert alone["heavy"] < 0.05
