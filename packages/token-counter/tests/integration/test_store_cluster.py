"""Counters that share a cluster: pools in different slots, a slot that moves, and a primary that fails."""

from __future__ import annotations

import asyncio
import runpy
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import jwt
import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from store_certificate import certificate
    from store_proxy import StoreProxy
    from valkey_cluster import ValkeyCluster, slot_of, until
else:
    TESTS = Path(__file__).parents[1]
    certificate = runpy.run_path(str(TESTS / "store_certificate.py"))["certificate"]
    StoreProxy = runpy.run_path(str(TESTS / "store_proxy.py"))["StoreProxy"]
    MODULE = runpy.run_path(str(TESTS / "valkey_cluster.py"))
    ValkeyCluster, slot_of, until = MODULE["ValkeyCluster"], MODULE["slot_of"], MODULE["until"]

# The margin is wide because a busy machine may bring a grant late; the window is what Azure would count.
LIMITS = Limits(tpm=10_000, rpm=400, window=2.0, sub_window=2.0, headroom=0.0, margin=2.0, sub_margin=0.1)
TOKENS = 1000  # 10 requests fill a window
PATIENT = {"socket_timeout": 30.0, "socket_connect_timeout": 30.0}  # a busy machine is slow


@pytest.fixture
def cluster() -> Iterator[ValkeyCluster]:
    with ValkeyCluster() as servers:
        yield servers


class Arrivals:
    """When requests of one pool arrived, as the model's endpoint would count them."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def more(self, count: int) -> None:
        """Wait until so many more have arrived."""
        expected = len(self.times) + count
        async with asyncio.timeout(60):
            while len(self.times) < expected:
                await asyncio.sleep(0.02)

    def most(self) -> int:
        """Return the most tokens within any window, of any phase."""
        return TOKENS * max(sum(start <= at < start + LIMITS.window for at in self.times) for start in self.times)


@asynccontextmanager
async def working(url: str, pools: list[str]) -> AsyncIterator[dict[str, Arrivals]]:
    """Have callers wait for each pool at each of two counters; return what arrives."""
    arrivals = {pool: Arrivals() for pool in pools}

    async def work(client: TokenClient, pool: str) -> None:
        while True:
            async with client.reserve(TOKENS) as reservation:
                arrivals[pool].times.append(time.monotonic())
                await reservation.report(prompt_tokens=TOKENS, completion_tokens=0)

    async with AsyncExitStack() as stack:
        tasks = []
        for _ in range(2):
            counter = TokenCounter(dict.fromkeys(pools, LIMITS), store=url, assume_idle=True)
            await stack.enter_async_context(counter)
            for pool in pools:
                client = await stack.enter_async_context(TokenClient("a", counter.url, pool=pool))
                tasks += [asyncio.ensure_future(work(client, pool)) for _ in range(4)]
        try:
            yield arrivals
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_pools_live_in_the_slots_of_their_names_and_each_has_its_limit(cluster: ValkeyCluster) -> None:
    pools = [cluster.pool_at(node) for node in cluster.primaries]
    async with working(cluster.url, pools) as arrivals:
        await asyncio.gather(*(arrivals[pool].more(25) for pool in pools))
        kept = [len(node.keys_in(slot_of(pool))) for node, pool in zip(cluster.primaries, pools, strict=True)]

    assert kept == [4, 4, 4]
    for pool in pools:
        assert LIMITS.tpm / 2 < arrivals[pool].most() <= LIMITS.tpm


async def test_a_counter_that_has_no_callers_hears_what_another_one_decided(cluster: ValkeyCluster) -> None:
    pool = cluster.pool_at(cluster.primaries[0])
    async with AsyncExitStack() as stack:
        deciding, idle = [
            await stack.enter_async_context(TokenCounter({pool: LIMITS}, store=cluster.url, assume_idle=True))
            for _ in range(2)
        ]
        asking, looking = [
            await stack.enter_async_context(TokenClient("a", counter.url, pool=pool)) for counter in (deciding, idle)
        ]
        async with asyncio.timeout(30):
            while await charged(looking) == 0:
                await asking.lock_tokens(1)  # again and again, because the other one may not listen yet
                await asyncio.sleep(0.1)


async def charged(client: TokenClient) -> int:
    status = await client.get_status()
    assert status is not None
    return LIMITS.tpm - int(status["available_tokens"])


async def test_a_slot_that_moves_is_followed_and_its_window_counts_as_full(cluster: ValkeyCluster) -> None:
    source, target, _ = cluster.primaries
    pool = cluster.pool_at(source)
    async with working(cluster.url, [pool]) as arrivals:
        await arrivals[pool].more(12)
        await asyncio.to_thread(cluster.move, slot_of(pool), source, target)
        moved = time.monotonic()
        await arrivals[pool].more(15)
        kept = len(target.keys_in(slot_of(pool))), len(source.keys_in(slot_of(pool)))

    resumed = min(at for at in arrivals[pool].times if at > moved + 0.5)
    assert kept == (4, 0)
    assert resumed - moved >= LIMITS.window / 2
    assert arrivals[pool].most() <= LIMITS.tpm


async def test_a_primary_that_fails_stops_its_pools_until_a_replica_has_taken_over() -> None:
    with ValkeyCluster(patience=1.0) as cluster:
        failing, _, other = cluster.primaries
        stopped, spared = cluster.pool_at(failing), cluster.pool_at(other)
        async with working(cluster.url, [stopped, spared]) as arrivals:
            await asyncio.gather(arrivals[stopped].more(12), arrivals[spared].more(12))
            failing.kill()
            failed = time.monotonic()
            await arrivals[spared].more(12)
            gone_on = time.monotonic() - failed
            await arrivals[stopped].more(15)
            kept = len(cluster.replica.keys_in(slot_of(stopped)))

        resumed = min(at for at in arrivals[stopped].times if at > failed + 0.5)
        assert kept == 4
        assert gone_on < 20
        assert resumed - failed >= LIMITS.window
        for pool in (stopped, spared):
            assert arrivals[pool].most() <= LIMITS.tpm


class Credential:
    """Gives tokens that live for two seconds, and each lets another user in at every node."""

    def __init__(self, cluster: ValkeyCluster) -> None:
        self.users: list[str] = []
        self._cluster = cluster

    async def get_token(self, *_: str) -> SimpleNamespace:
        user, ends = f"user-{len(self.users)}", int(time.time()) + 3
        token = jwt.encode({"oid": user, "exp": ends}, "a secret of thirty-two characters", algorithm="HS256")
        for node in [*self._cluster.primaries, self._cluster.replica]:
            node.ask("ACL", "SETUSER", user, "on", f">{token}", "allkeys", "allchannels", "allcommands")
        self.users.append(user)
        return SimpleNamespace(token=token, expires_on=ends)


async def test_connections_to_every_node_sign_in_anew_before_a_token_ends(
    cluster: ValkeyCluster, caplog: pytest.LogCaptureFixture
) -> None:
    pools = [cluster.pool_at(node) for node in cluster.primaries]
    credential = Credential(cluster)

    async with AsyncExitStack() as stack:
        counter = TokenCounter(
            dict.fromkeys(pools, LIMITS),
            store=cluster.url,
            store_options=PATIENT,
            store_credential=credential,
            assume_idle=True,
        )
        await stack.enter_async_context(counter)
        clients = [await stack.enter_async_context(TokenClient("a", counter.url, pool=pool)) for pool in pools]
        async with asyncio.timeout(60):
            while not all([(await client.lock_tokens(1)).allowed for client in clients]):
                await asyncio.sleep(0.05)
            while len(credential.users) < 4:
                assert all([(await client.lock_tokens(1)).allowed for client in clients])
                await asyncio.sleep(0.05)
        for node in cluster.primaries:
            node.ask("ACL", "DELUSER", *credential.users[:-2])  # ends what they still have open
        assert all([(await client.lock_tokens(1)).allowed for client in clients])

    assert "cannot be used" not in caplog.text


async def test_a_cluster_is_reached_over_tls(cluster: ValkeyCluster, tmp_path: Path) -> None:
    pools = [cluster.pool_at(node) for node in cluster.primaries]
    shown, trusted = certificate(tmp_path)
    async with AsyncExitStack() as stack:
        proxies = []
        for node in [*cluster.primaries, cluster.replica]:
            proxies.append(await stack.enter_async_context(StoreProxy(node, tls=shown)))
            node.ask("CONFIG", "SET", "cluster-announce-client-port", proxies[-1].port)
        ports = {proxy.port for proxy in proxies}
        until(lambda: all(node.told_ports() == ports for node in cluster.primaries))
        url = proxies[0].url.replace("rediss://", "rediss-cluster://")
        counter = TokenCounter(
            dict.fromkeys(pools, LIMITS), store=url, store_options={"ssl_ca_certs": str(trusted)}, assume_idle=True
        )
        await stack.enter_async_context(counter)
        for pool in pools:
            client = await stack.enter_async_context(TokenClient("a", counter.url, pool=pool))
            async with client.reserve(TOKENS, deadline=60) as reservation:
                await reservation.report(prompt_tokens=TOKENS, completion_tokens=0)
        kept = [len(node.keys_in(slot_of(pool))) for node, pool in zip(cluster.primaries, pools, strict=True)]

    assert kept == [4, 4, 4]
