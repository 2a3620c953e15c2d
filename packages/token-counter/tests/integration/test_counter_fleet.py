from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Margins are wide because a busy machine may bring a grant late; the windows are what Azure would count.
LIMITS = Limits(tpm=10_000, rpm=100, window=2.0, sub_window=0.5, headroom=0.0, margin=1.0, sub_margin=0.5)
BURST = 25  # int(100 * 0.5 / 2)


class Judge:
    """Counts what arrives, as the model's endpoint would, in an account of its own."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, int]] = []

    def arrive(self, tokens: int) -> None:
        self.arrivals.append((time.monotonic(), tokens))

    def most(self, length: float) -> tuple[int, int]:
        """Return the most tokens and the most requests that arrived within any interval, so for any phase."""
        sums = [[tokens for at, tokens in self.arrivals if start <= at < start + length] for start, _ in self.arrivals]
        return max(map(sum, sums)), max(map(len, sums))


@pytest.fixture
async def counter() -> AsyncIterator[TokenCounter]:
    async with TokenCounter({"completion": LIMITS}, assume_idle=True) as serving:
        yield serving


async def status(client: TokenClient) -> dict[str, Any]:
    facts = await client.get_status()
    assert facts is not None
    return facts


async def answer(session: aiohttp.ClientSession, url: str, message: dict[str, Any]) -> Any:
    async with session.post(url, json=message) as response:
        return await response.json()


async def until_waiting(client: TokenClient, waiting: int) -> None:
    async with asyncio.timeout(20):
        while (await status(client))["waiting"] != waiting:
            await asyncio.sleep(0.01)


async def test_fifty_callers_never_exceed_the_limits_and_keep_them_busy(counter: TokenCounter) -> None:
    judge = Judge()

    async def work(client: TokenClient, tokens: int) -> None:
        async with client.reserve(tokens, max_tokens=tokens // 2) as reservation:
            judge.arrive(tokens)
            await reservation.report(prompt_tokens=1, completion_tokens=1)

    async with TokenClient("a", counter.url) as one, TokenClient("b", counter.url) as two:
        began = time.monotonic()
        await asyncio.gather(*(work((one, two)[n % 2], 400 + 20 * n) for n in range(50)))
        seconds = time.monotonic() - began
        facts = await status(one)

    tokens, requests = judge.most(LIMITS.window)
    assert tokens <= LIMITS.tpm
    assert requests <= LIMITS.rpm
    assert judge.most(LIMITS.sub_window)[1] <= BURST
    assert len(judge.arrivals) == facts["granted"] == 50
    # 44,500 tokens need five windows; the first opens at once.
    assert 4 * LIMITS.window <= seconds < 10 * LIMITS.window
    assert facts["waiting"] == facts["unreported"] == 0


async def test_callers_are_served_in_the_order_in_which_they_came(counter: TokenCounter) -> None:
    order: list[int] = []

    async def work(client: TokenClient, number: int) -> None:
        async with client.reserve(4_000) as reservation:
            order.append(number)
            await reservation.report(prompt_tokens=1, completion_tokens=1)

    async with TokenClient("a", counter.url) as client:
        lock = await client.lock_tokens(10_000)
        tasks = []
        for number in range(4):
            tasks.append(asyncio.ensure_future(work(client, number)))
            await until_waiting(client, number + 1)
        await client.release_tokens(str(lock.request_id))
        await asyncio.gather(*tasks)

    assert order == [0, 1, 2, 3]


async def test_a_cancelled_caller_gives_up_its_place_at_once(counter: TokenCounter) -> None:
    async with TokenClient("a", counter.url) as client:
        await client.lock_tokens(10_000)
        first = asyncio.ensure_future(client.reserve(9_000).__aenter__())
        await until_waiting(client, 1)
        first.cancel()
        await asyncio.wait([first])
        await until_waiting(client, 0)
        async with client.reserve(9_000) as reservation:
            await reservation.release()
        facts = await status(client)

    assert facts["granted"] == 2


async def test_grants_that_meet_cancelled_callers_go_back(counter: TokenCounter) -> None:
    async with TokenClient("a", counter.url) as client:
        for _ in range(20):
            lock = await client.lock_tokens(10_000)
            assert lock.allowed
            waiting = asyncio.ensure_future(client.reserve(10_000).__aenter__())
            await until_waiting(client, 1)
            releasing = asyncio.ensure_future(client.release_tokens(str(lock.request_id)))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting, releasing])
            async with asyncio.timeout(10):
                while (await status(client))["available_tokens"] != LIMITS.tpm:
                    await asyncio.sleep(0.005)


async def test_a_caller_that_disconnects_is_no_longer_waited_for(counter: TokenCounter) -> None:
    async with TokenClient("b", counter.url) as client:
        await client.lock_tokens(10_000)
        async with aiohttp.ClientSession() as session:
            message = {"app_id": "a", "token_count": 9_000, "wait_seconds": 60}
            poll = asyncio.ensure_future(answer(session, f"{counter.url}/lock", message))
            await until_waiting(client, 1)
            poll.cancel()
            await asyncio.wait([poll])
        await until_waiting(client, 0)
        async with client.reserve(9_000) as reservation:
            await reservation.report(prompt_tokens=1, completion_tokens=1)
        facts = await status(client)

    assert facts["granted"] == 2


async def test_a_counter_that_stops_sends_its_callers_to_the_next_one() -> None:
    async with TokenCounter({"completion": LIMITS}, assume_idle=True) as first:
        client = TokenClient("a", first.url)
        await client.lock_tokens(10_000)
        waiting = asyncio.ensure_future(client.reserve(9_000).__aenter__())
        await until_waiting(client, 1)
    port = int(first.url.rpartition(":")[2])
    async with client, TokenCounter({"completion": LIMITS}, port=port, assume_idle=True):
        reservation = await waiting
        assert await reservation.report(prompt_tokens=1, completion_tokens=1)
