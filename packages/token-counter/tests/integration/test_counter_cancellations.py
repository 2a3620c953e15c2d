"""Callers cancelled at any moment: what was sent stays charged, what was not goes back; a judge adds up the former."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from pathlib import Path

# Requests are paced, so that callers wait; nothing ages out while the test lasts.
LIMITS = Limits(tpm=10**9, rpm=1_800_000, sub_window=1.0, headroom=0.0, window=3_600.0, sub_margin=0.0)
CALLERS = 2_000
AT_ONCE = 20


class Judge:
    """Adds up what was sent, and counts where callers were cancelled."""

    def __init__(self) -> None:
        self.tokens = 0
        self.asking = self.sending = self.reporting = 0


async def call(client: TokenClient, judge: Judge, tokens: int) -> None:
    """Ask, send, wait for the answer, and report."""
    judge.asking += 1
    async with client.reserve(tokens) as reservation:
        judge.asking -= 1
        judge.sending += 1
        judge.tokens += tokens  # the request is written
        await asyncio.sleep(0.002)
        judge.sending -= 1
        judge.reporting += 1
        await reservation.report(prompt_tokens=tokens // 2, completion_tokens=0)
        judge.reporting -= 1


async def cancelled_at_some_moment(client: TokenClient, judge: Judge, chance: random.Random) -> None:
    """Make a call, and cancel it after so many turns of the loop or, if it is still there, some time later."""
    calling = asyncio.ensure_future(call(client, judge, chance.randint(1, 1000)))
    for _ in range(chance.randint(0, 40)):
        await asyncio.sleep(0)
    await asyncio.wait([calling], timeout=chance.choice([0.0, chance.uniform(0, 0.03)]))
    calling.cancel()
    await asyncio.wait([calling])


async def charged(client: TokenClient) -> int:
    """Return what the counter charges."""
    status = await client.get_status()
    assert status is not None
    return int(status["used_tokens"]) + int(status["locked_tokens"])


@pytest.mark.parametrize("kept", [False, True], ids=["in-memory", "with-a-journal"])
async def test_what_was_sent_stays_charged_whenever_its_caller_is_cancelled(tmp_path: Path, *, kept: bool) -> None:
    judge, chance = Judge(), random.Random(1)
    journal = tmp_path if kept else None
    async with (
        TokenCounter({"completion": LIMITS}, assume_idle=True, journal=journal) as counter,
        TokenClient("a", counter.url) as client,
    ):
        for _ in range(CALLERS // AT_ONCE):
            await asyncio.gather(*(cancelled_at_some_moment(client, judge, chance) for _ in range(AT_ONCE)))
            assert await charged(client) >= judge.tokens
        async with asyncio.timeout(60):
            while await charged(client) != judge.tokens:
                await asyncio.sleep(0.01)

    assert min(judge.asking, judge.sending, judge.reporting) > CALLERS / 100
    assert client.unreported == judge.sending + judge.reporting
