"""A server that drops keys of a pool, each alone: whatever is missing, no window holds more than the limit."""

from __future__ import annotations

import asyncio
import runpy
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import pytest

from penstock_token_client import Limits
from penstock_token_client.accounting import Grant, Order, Usage
from penstock_token_counter import TokenCounter
from penstock_token_counter._knowledge import Knowledge
from penstock_token_counter._shared_gate import SharedGate
from penstock_token_counter._shared_polls import SharedPoll
from penstock_token_counter._store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrivals_judge import Judge
    from valkey_process import ValkeyProcess
else:
    TESTS = Path(__file__).parents[1]
    Judge = runpy.run_path(str(TESTS / "arrivals_judge.py"))["Judge"]
    ValkeyProcess = runpy.run_path(str(TESTS / "valkey_process.py"))["ValkeyProcess"]

# The margin is wide because a busy machine may bring a grant late; the window is what Azure would count.
LIMITS = Limits(tpm=1000, rpm=400, window=2.0, sub_window=2.0, headroom=0.0, margin=2.0, sub_margin=0.1)
TOKENS = 500  # 2 requests fill a window, however slowly they come
USED = Usage(TOKENS, 0)
KEYS = ("meta", "state", "ages", "log")


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


class Fleet:
    """Counters that share a pool, and a judge of what they grant."""

    def __init__(self, url: str) -> None:
        self.pool = secrets.token_hex(8)
        self.judge = Judge(TOKENS, LIMITS.window)
        self._url = url
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ending.aclose()

    async def counter(self) -> SharedGate:
        """Start another counter, which believes a store that does not know the pool."""
        store = Store(self._url, counter=secrets.token_hex(4), timeout=10.0)
        self._ending.push_async_callback(store.aclose)
        gate = SharedGate(self.pool, LIMITS, store, assume_idle=True)
        self._ending.push_async_callback(gate.aclose)
        gate.start()
        store.listen({self.pool: gate.wake})
        return gate

    def crowd(self, gate: SharedGate) -> None:
        """Have callers come to a counter, each again and again."""
        self._tasks += [asyncio.ensure_future(self._work(gate)) for _ in range(2)]

    async def _work(self, gate: SharedGate) -> None:
        while True:
            asked = await gate.ask(Order("a", TOKENS), None, wait=60)
            if isinstance(asked, SharedPoll):
                asked = await gate.wait(asked, 60)
            if asked is not None:
                self.judge.arrive()


def drop(valkey: ValkeyProcess, pool: str, key: str) -> None:
    with valkey.client() as client:
        assert client.delete(f"penstock:1:{{{pool}}}:{key}") == 1


async def see_a_key_dropped(valkey: ValkeyProcess, key: str, *, decided_since: bool) -> Judge:
    """Drop a key while the window is full, and have two counters serve a crowd, one of which knew nothing before."""
    async with Fleet(valkey.url) as fleet:
        first = await fleet.counter()
        grants = [await first.ask(Order("a", TOKENS), None, wait=0) for _ in range(LIMITS.tpm // TOKENS)]
        ids = [grant.id for grant in grants if isinstance(grant, Grant)]
        for _ in ids:
            fleet.judge.arrive()
        drop(valkey, fleet.pool, key)
        if decided_since:
            await first.settle("a", ids[0], USED)
        second = await fleet.counter()
        await second.settle("a", ids[1], USED)
        for gate in (second, first):
            fleet.crowd(gate)
        await fleet.judge.see(4)
        return fleet.judge


@pytest.mark.parametrize("decided_since", [True, False], ids=["decided since", "nothing decided since"])
@pytest.mark.parametrize("key", KEYS)
async def test_no_window_exceeds_the_limit_when_a_key_vanishes(
    valkey: ValkeyProcess, key: str, *, decided_since: bool
) -> None:
    judge = await see_a_key_dropped(valkey, key, decided_since=decided_since)

    assert judge.most_tokens() <= LIMITS.tpm


async def test_the_judge_finds_counters_that_believe_a_store_that_lost_a_key(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Knowledge, "is_too_little", lambda *_: False)

    judge = await see_a_key_dropped(valkey, "state", decided_since=True)

    assert judge.most_tokens() > LIMITS.tpm


async def warnings_of(settings: dict[str, Any], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is said of a server, started twice, by a counter of two pools."""
    with ValkeyProcess(**settings) as valkey:
        async with TokenCounter({"one": LIMITS, "two": LIMITS}, store=valkey.url) as counter, asyncio.timeout(60):
            await until_ready(counter.url, ready=True)
            valkey.kill()
            await until_ready(counter.url, ready=False)
            valkey.start()
            await until_ready(counter.url, ready=True)
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def until_ready(url: str, *, ready: bool) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/readyz") as response:
                if (response.status == 200) == ready:
                    return
            await asyncio.sleep(0.02)


async def test_a_server_that_may_evict_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    (warning,) = await warnings_of({"maxmemory": "100mb", "maxmemory_policy": "volatile-lru"}, caplog)

    assert "may evict" in warning
    assert "volatile-lru" in warning


@pytest.mark.parametrize(
    "settings",
    [{}, {"maxmemory": "100mb"}, {"maxmemory_policy": "allkeys-lru"}],
    ids=["by default", "without a policy", "without a limit"],
)
async def test_a_server_that_never_evicts_is_not_spoken_of(
    settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert await warnings_of(settings, caplog) == []
