"""What counters do when the store that they share fails them: wait, say so, and grant nothing that may be too much."""

from __future__ import annotations

import asyncio
import dataclasses
import runpy
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter, _shared_gate
from penstock_token_counter._knowledge import Knowledge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from arrivals_judge import Judge
    from store_proxy import StoreProxy
    from valkey_process import ValkeyProcess
else:
    TESTS = Path(__file__).parents[1]
    Judge = runpy.run_path(str(TESTS / "arrivals_judge.py"))["Judge"]
    ValkeyProcess = runpy.run_path(str(TESTS / "valkey_process.py"))["ValkeyProcess"]
    StoreProxy = runpy.run_path(str(TESTS / "store_proxy.py"))["StoreProxy"]

# The margin is wide because a busy machine may bring a grant late; the window is what Azure would count.
LIMITS = Limits(tpm=10_000, rpm=400, window=2.0, sub_window=2.0, headroom=0.0, margin=2.0, sub_margin=0.1)
POOLS = {"completion": LIMITS}
TOKENS = 1000  # 10 requests fill a window
TIMEOUT = 1.0  # seconds within which the store must answer


@pytest.fixture
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


@asynccontextmanager
async def fleet(url: str, counters: int = 2, pools: dict[str, Limits] | None = None) -> AsyncIterator[list[str]]:
    """Serve pools by several counters that share a store; return their addresses."""
    async with AsyncExitStack() as stack:
        urls = []
        for _ in range(counters):
            counter = TokenCounter(
                pools or POOLS, store=url, store_options={"socket_timeout": TIMEOUT}, assume_idle=True
            )
            urls.append((await stack.enter_async_context(counter)).url)
        for counter_url in urls:
            await until(partial(is_ready, counter_url))
        yield urls


@asynccontextmanager
async def crowd(urls: list[str], judge: Judge, callers: int = 6) -> AsyncIterator[None]:
    """Have callers wait at each counter, one request after the other."""

    async def work(client: TokenClient) -> None:
        while True:
            async with client.reserve(TOKENS) as reservation:
                judge.arrive()
                await reservation.report(prompt_tokens=TOKENS, completion_tokens=0)

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(TokenClient("a", url)) for url in urls]
        working = [asyncio.ensure_future(work(client)) for client in clients for _ in range(callers)]
        try:
            yield
        finally:
            for task in working:
                task.cancel()
            await asyncio.wait(working)


async def get(url: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def is_ready(url: str) -> bool:
    return (await get(f"{url}/readyz"))[0] == 200


async def lock(url: str, **message: Any) -> dict[str, Any]:
    body = {"app_id": "a", "token_count": TOKENS, **message}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/lock", json=body) as response:
        answer: dict[str, Any] = await response.json()
    return answer


async def until(condition: Callable[[], Awaitable[bool]], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_no_window_exceeds_the_limit_and_work_goes_on() -> None:
    judge = Judge(TOKENS, LIMITS.window)
    with ValkeyProcess() as valkey:
        async with fleet(valkey.url) as urls, crowd(urls, judge):
            await judge.see(35)

    assert LIMITS.tpm / 2 < judge.most_tokens() <= LIMITS.tpm


async def test_a_store_that_was_killed_and_knows_nothing_makes_everybody_wait_for_one_window(
    valkey: ValkeyProcess,
) -> None:
    judge = Judge(TOKENS, LIMITS.window)
    async with fleet(valkey.url) as urls, crowd(urls, judge):
        await judge.see(12)
        valkey.kill()
        killed = time.monotonic()
        await asyncio.sleep(0.5)
        valkey.start()
        await judge.see(15)

    resumed = min(at for at in judge.arrivals if at > killed + 0.25)
    assert judge.most_tokens() <= LIMITS.tpm
    assert resumed - killed >= LIMITS.window


async def test_the_judge_finds_counters_that_believe_a_store_which_knows_nothing(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Knowledge, "is_too_little", lambda *_: False)
    judge = Judge(TOKENS, LIMITS.window)
    async with fleet(valkey.url) as urls, crowd(urls, judge):
        await judge.see(18)
        valkey.kill()
        valkey.start()
        await judge.see(10)

    assert judge.most_tokens() > LIMITS.tpm


async def test_a_store_that_stalls_loses_nothing_and_nothing_is_granted_twice(valkey: ValkeyProcess) -> None:
    judge = Judge(TOKENS, LIMITS.window)
    async with fleet(valkey.url) as urls, crowd(urls, judge):
        await judge.see(12)
        valkey.pause()
        await asyncio.sleep(3 * TIMEOUT)
        stalled = len(judge.arrivals)
        assert not await is_ready(urls[0])
        valkey.go_on()
        await judge.see(15)

    assert stalled < len(judge.arrivals)
    assert judge.most_tokens() <= LIMITS.tpm


async def test_a_replica_that_lost_the_last_writes_grants_nothing_for_one_window(valkey: ValkeyProcess) -> None:
    judge = Judge(TOKENS, LIMITS.window)
    with ValkeyProcess() as replica:
        async with StoreProxy(valkey) as proxy, fleet(proxy.url) as urls, crowd(urls, judge):
            await judge.see(3)
            copy(valkey, replica)  # what is written from now on, the replica will not have
            await judge.see(7)
            valkey.kill()
            failed = time.monotonic()
            await proxy.lead_to(replica)
            await judge.see(15)

    resumed = min((at for at in judge.arrivals if at > failed + 0.25), default=0.0)
    assert judge.most_tokens() <= LIMITS.tpm
    assert resumed - failed >= LIMITS.window


def copy(source: ValkeyProcess, target: ValkeyProcess) -> None:
    """Make one server know what another one does at this moment, as replication does until it breaks."""
    with source.client() as reading, target.client() as writing:
        for key in reading.scan_iter():
            dump = reading.dump(key)
            if dump is not None:
                writing.restore(key, max(0, reading.pttl(key)), dump)


async def test_a_store_that_is_away_at_the_start_is_waited_for(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_shared_gate, "_PATIENCE", 0.5)
    valkey.kill()
    async with TokenCounter(POOLS, store=valkey.url, assume_idle=True) as counter:
        answer = await lock(counter.url)
        assert (answer["allowed"], answer["code"]) == (False, "paused")
        assert "store cannot be used" in answer["message"]
        assert not await is_ready(counter.url)
        assert (await get(f"{counter.url}/status"))[1]["store"] == "away"

        valkey.start()
        await until(lambda: is_ready(counter.url))
        assert (await lock(counter.url))["allowed"]
    told = [record.getMessage() for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(told) == 1


async def test_a_report_that_cannot_be_kept_is_refused_for_now(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shared_gate, "_PATIENCE", 0.5)
    async with fleet(valkey.url, counters=1) as (url,):
        granted = await lock(url)
        valkey.kill()
        report = {"app_id": "a", "request_id": granted["request_id"], "prompt_tokens": 1, "completion_tokens": 0}
        async with aiohttp.ClientSession() as session, session.post(f"{url}/report", json=report) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")


async def test_an_idle_counter_notices_that_the_store_is_away_and_back(valkey: ValkeyProcess) -> None:
    async with fleet(valkey.url, counters=1) as (url,):
        valkey.kill()
        await until(lambda: is_not_ready(url))
        valkey.start()
        await until(lambda: is_ready(url))


async def is_not_ready(url: str) -> bool:
    return not await is_ready(url)


async def test_a_grant_that_is_kept_too_late_reaches_nobody_and_is_charged_to_nobody(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shared_gate, "_PATIENCE", 2.0)
    strict = {"completion": dataclasses.replace(LIMITS, margin=0.1)}
    async with StoreProxy(valkey) as proxy, fleet(proxy.url, counters=1, pools=strict) as (url,):
        proxy.delay = 0.2
        answer = await lock(url)
        assert (answer["allowed"], answer["code"]) == (False, "paused")

        proxy.delay = 0.0
        await until(lambda: nothing_is_charged(url))
        assert (await lock(url))["allowed"]


async def nothing_is_charged(url: str) -> bool:
    status = (await get(f"{url}/status"))[1]
    return bool(status["available_tokens"] == LIMITS.tpm)


async def test_a_pool_that_rests_is_dropped_but_for_its_name_and_goes_on_at_once(valkey: ValkeyProcess) -> None:
    brief = {"completion": dataclasses.replace(LIMITS, window=0.2, sub_window=0.2, margin=0.2)}
    async with fleet(valkey.url, counters=1, pools=brief) as (url,):
        first = await lock(url)
        with valkey.client() as client:
            await until(lambda: rests(client))
        async with fleet(valkey.url, counters=1, pools=brief) as (other,):
            second = await lock(other)

    assert second["allowed"]
    assert first["request_id"] != second["request_id"]


async def rests(client: Any) -> bool:
    return bool(client.keys() == [b"penstock:1:{completion}:meta"])


async def test_what_is_kept_is_bounded_by_the_window(valkey: ValkeyProcess) -> None:
    brief = {"completion": Limits(tpm=10**9, rpm=10**6, window=0.1, sub_window=0.1, margin=0.2, headroom=0.0)}
    async with fleet(valkey.url, counters=2, pools=brief) as urls, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(TokenClient("a", url)) for url in urls]
        sizes = []
        with valkey.client() as client:
            for _ in range(40):
                await asyncio.gather(*(clients[n % 2].lock_tokens(1) for n in range(40)))
                await asyncio.sleep(0.05)
                sizes.append(client.hlen("penstock:1:{completion}:state"))
            entries = client.llen("penstock:1:{completion}:log")

    assert max(sizes[20:]) < 40 * 25  # of 1,600 grants
    assert max(sizes[20:]) < 2 * max(sizes[:20])
    assert entries <= 1000


async def test_late_reports_of_a_pool_that_the_store_lost_are_no_foreign_ones(
    valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    brief = {"completion": dataclasses.replace(LIMITS, window=0.2, sub_window=0.2)}
    async with fleet(valkey.url, pools=brief) as urls:
        old = [await granted(url) for url in urls]
        await until(lambda: is_over(urls[1], old[1]))
        before = await statuses(urls)
        with valkey.client() as client:
            client.flushdb()
        for url in urls:
            await granted(url)
        known = [await report(url, request_id) for url in urls for request_id in old]
        known.append(await report(urls[0], "token_another-1:rate_another-1"))
        after = await statuses(urls)

    assert before[0]["instance"] != after[0]["instance"] == after[1]["instance"]
    assert known == [False] * 5
    assert [status["foreign_ids"] for status in after] == [1, 0]
    (warning,) = [record.getMessage() for record in caplog.records if "quota twice" in record.getMessage()]
    assert "another" in warning


async def test_a_counter_that_cannot_go_on_says_that_it_must_be_started_anew(
    valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(valkey.url, counters=1) as [url]:
        well = await get(f"{url}/healthz")
        await granted(url)
        with valkey.client() as client:  # as somebody who writes into our keys
            client.rpush("penstock:1:{completion}:log", "secret")
            client.hincrby("penstock:1:{completion}:meta", "version", 1)
            client.publish("penstock:1:{completion}:changed", "somebody")
        await until(lambda: is_broken(url))

    assert well == (200, {"v": 1, "alive": True})
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert "pool completion" in record.getMessage()
    assert "secret" not in record.getMessage()


async def is_broken(url: str) -> bool:
    """Tell whether a counter says that it must be started anew."""
    return await get(f"{url}/healthz") == (503, {"v": 1, "alive": False})


async def granted(url: str) -> str:
    """Wait for a grant; return its id."""
    answer = await lock(url, wait_seconds=30)
    assert answer["allowed"]
    return str(answer["request_id"])


async def report(url: str, request_id: str) -> bool:
    """Report a grant's use; tell whether the counter knew the grant."""
    message = {"app_id": "a", "request_id": request_id, "prompt_tokens": 1, "completion_tokens": 0}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/report", json=message) as response:
        return bool((await response.json())["known"])


async def is_over(url: str, request_id: str) -> bool:
    """Tell whether a grant has left the window."""
    return not await report(url, request_id)


async def statuses(urls: list[str]) -> list[dict[str, Any]]:
    return [(await get(f"{url}/status"))[1] for url in urls]
