"""kill -9 of the counter, again and again under load, and a judge with an account of its own.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 50 kills).
"""

from __future__ import annotations

import asyncio
import os
import random
import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_token_client import Limits, TokenClient

if TYPE_CHECKING:
    from arrivals_judge import Judge
    from killable_counter import KillableCounter
else:
    Judge = runpy.run_path(str(Path(__file__).parents[1] / "arrivals_judge.py"))["Judge"]
    KillableCounter = runpy.run_path(str(Path(__file__).with_name("killable_counter.py")))["KillableCounter"]

KILLS = 50 if os.environ.get("PENSTOCK_SURVIVAL") == "full" else 8
# The margin is wide because a busy machine may bring a grant late; the window is what Azure would count.
LIMITS = Limits(tpm=10_000, rpm=400, window=4.0, sub_window=4.0, headroom=0.0, margin=1.0)
TOKENS = 400  # 25 requests fill a window
CALLERS = 20
SLOW_DISK = 0.05
"""Seconds that a sync takes, so that a kill finds decisions that are not durable yet, and a journal half rewritten."""
SMALLEST = 3_000  # bytes, of which a batch has about 200: the journal is rewritten several times a window


async def work(client: TokenClient, judge: Judge) -> None:
    """Ask, send and report, for as long as the test lasts."""
    while True:
        async with client.reserve(TOKENS) as reservation:
            judge.arrive()
            await reservation.report(prompt_tokens=TOKENS, completion_tokens=0)


async def kill_at_some_moment(counter: KillableCounter, judge: Judge, moment: str, chance: random.Random) -> None:
    """Kill the counter while it grants, or just when it uses its journal in some way, and start the next one."""
    if moment in ("granting", "answering"):
        await judge.see(chance.randint(3, 10))
    elif moment == "answering a burst":
        await judge.see(CALLERS)
    elif moment == "rewriting under load":
        await counter.listens()
        await counter.says("rewriting")
    else:
        await counter.says(moment)
    if not moment.startswith("answering"):
        await asyncio.sleep(chance.uniform(0, 2 * SLOW_DISK))
    await counter.kill()
    await counter.start()


async def judged(counter: KillableCounter, moments: list[str], window: float = LIMITS.window) -> int:
    """Kill a counter under load, at each of the moments; return the most tokens that any window saw."""
    judge, chance = Judge(TOKENS, window), random.Random(1)
    async with counter.serving(), TokenClient("a", counter.url) as client:
        callers = [asyncio.ensure_future(work(client, judge)) for _ in range(CALLERS)]
        for moment in moments:
            await kill_at_some_moment(counter, judge, moment, chance)
        await judge.see(CALLERS)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
    return judge.most_tokens()


async def test_no_window_exceeds_the_limit_however_often_the_counter_is_killed(tmp_path: Path) -> None:
    counter = KillableCounter(tmp_path, LIMITS, slow_disk=SLOW_DISK, smallest=SMALLEST)
    moments = ["granting", "replaying", "answering", "rewriting", "granting", "rewriting under load"] * KILLS

    most = await judged(counter, moments[:KILLS])

    assert LIMITS.tpm / 2 < most <= LIMITS.tpm


async def test_the_judge_finds_a_counter_that_answers_before_its_grants_are_durable(tmp_path: Path) -> None:
    # On a disk this slow a whole burst is lost, and two bursts are too much, also where a start takes a while.
    limits = replace(LIMITS, window=30.0, sub_window=30.0)
    counter = KillableCounter(tmp_path, limits, slow_disk=6 * SLOW_DISK, smallest=SMALLEST, faulty=True)

    assert await judged(counter, ["answering a burst"] * 3, limits.window) > LIMITS.tpm
