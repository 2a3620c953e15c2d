"""Signing in anew, again and again and while counters ask: no question may lose its answer, or get another's."""

from __future__ import annotations

import asyncio
import runpy
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter, _store_identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from valkey_cluster import ValkeyCluster
    from valkey_process import ValkeyProcess
else:
    TESTS = Path(__file__).parents[1]
    ValkeyCluster = runpy.run_path(str(TESTS / "valkey_cluster.py"))["ValkeyCluster"]
    ValkeyProcess = runpy.run_path(str(TESTS / "valkey_process.py"))["ValkeyProcess"]

POOLS = dict.fromkeys([f"pool-{number}" for number in range(12)], Limits(tpm=10**9, rpm=10**7, headroom=0.0))
PATIENT = {"socket_timeout": 30.0, "socket_connect_timeout": 30.0}  # a busy machine is slow
ENDS = int(time.time()) + 3600
TOKEN = jwt.encode({"oid": "user", "exp": ENDS}, "a secret of thirty-two characters", algorithm="HS256")
LET_IN = ("ACL", "SETUSER", "user", "on", f">{TOKEN}", "allkeys", "allchannels", "allcommands")


class Credential:
    """Gives the same token again and again."""

    def __init__(self) -> None:
        self.given = 0

    async def get_token(self, *_: str) -> SimpleNamespace:
        self.given += 1
        return SimpleNamespace(token=TOKEN, expires_on=ENDS)


def let_in_at_one(valkey: ValkeyProcess) -> None:
    with valkey.client() as client:
        client.execute_command(*LET_IN)


def let_in_at_all(cluster: ValkeyCluster) -> None:
    for node in [*cluster.primaries, cluster.replica]:
        node.ask(*LET_IN)


@pytest.mark.parametrize(
    ("kind", "let_in"),
    [
        pytest.param(ValkeyProcess, let_in_at_one, id="at one server"),
        pytest.param(ValkeyCluster, let_in_at_all, id="at a cluster"),
    ],
)
async def test_signing_in_anew_disturbs_nobody_who_asks(
    kind: Callable[[], Any],
    let_in: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_store_identity, "_LEAST", 0.02)
    monkeypatch.setattr(_store_identity, "_SHARE", 0.0)
    credential = Credential()
    told: set[str | None] = set()

    async def ask(client: TokenClient, until: int) -> None:
        while credential.given < until:
            told.add((await client.lock_tokens(1)).error)

    with kind() as store:
        let_in(store)
        async with AsyncExitStack() as stack:
            counter = TokenCounter(
                POOLS,
                store=store.url,
                store_options=PATIENT,
                store_credential=credential,
                assume_idle=True,
                requests_per_second=1e6,
            )
            await stack.enter_async_context(counter)
            clients = [await stack.enter_async_context(TokenClient("a", counter.url, pool=pool)) for pool in POOLS]
            for client in clients:
                async with client.reserve(1, deadline=60):
                    pass
            until = credential.given + 40
            await asyncio.gather(*(ask(client, until) for client in clients))

    assert told == {None}
    assert "cannot be used" not in caplog.text
