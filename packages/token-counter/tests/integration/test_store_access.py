"""How counters reach the store that they share: with a password, over TLS, and never saying what they showed."""

from __future__ import annotations

import asyncio
import logging
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiohttp
import jwt
import pytest
from redis.credentials import UsernamePasswordCredentialProvider

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter
from penstock_token_counter._options import UsageError, read_options
from penstock_token_counter._serve import counter_of
from penstock_token_counter._store_library import address

if TYPE_CHECKING:
    from store_certificate import certificate
    from store_proxy import StoreProxy
    from valkey_process import ValkeyProcess
else:
    TESTS = Path(__file__).parents[1]
    certificate = runpy.run_path(str(TESTS / "store_certificate.py"))["certificate"]
    ValkeyProcess = runpy.run_path(str(TESTS / "valkey_process.py"))["ValkeyProcess"]
    StoreProxy = runpy.run_path(str(TESTS / "store_proxy.py"))["StoreProxy"]

POOLS = {"completion": Limits(tpm=1000, rpm=600, headroom=0.0)}
PASSWORD = "canary-of-the-store"


def protect(valkey: ValkeyProcess, password: str) -> None:
    with valkey.client() as client:
        client.config_set("requirepass", password)


async def until_ready(url: str, *, ready: bool = True) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/readyz") as response:
                if (response.status == 200) == ready:
                    return
            await asyncio.sleep(0.02)


async def test_a_password_lets_in_and_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ValkeyProcess() as valkey:
        protect(valkey, PASSWORD)
        async with StoreProxy(valkey) as proxy:
            url = proxy.url.replace("redis://", f"redis://default:{PASSWORD}@")
            async with TokenCounter(POOLS, store=url, assume_idle=True) as counter:
                await until_ready(counter.url)
                async with TokenClient("a", counter.url) as client:
                    assert (await client.lock_tokens(10)).allowed
                    shown = str(await client.get_status())

    assert "is shared through the store at redis://127.0.0.1" in caplog.text
    assert PASSWORD not in caplog.text + shown + repr(counter)


async def test_a_credential_provider_is_asked_for_what_lets_in() -> None:
    with ValkeyProcess() as valkey:
        protect(valkey, PASSWORD)
        async with StoreProxy(valkey) as proxy:
            options = {"credential_provider": UsernamePasswordCredentialProvider("default", PASSWORD)}
            async with TokenCounter(POOLS, store=proxy.url, store_options=options, assume_idle=True) as counter:
                await until_ready(counter.url)
                async with TokenClient("a", counter.url) as client:
                    assert (await client.lock_tokens(10)).allowed


class Credential:
    """Gives tokens that live for two seconds, and each lets in another user, so that the server tells them apart."""

    def __init__(self, valkey: ValkeyProcess) -> None:
        self.users: list[str] = []
        self._valkey = valkey

    async def get_token(self, *scopes: str) -> SimpleNamespace:
        assert scopes == ("https://redis.azure.com/.default",)
        user, ends = f"user-{len(self.users)}", int(time.time()) + 3
        token = jwt.encode({"oid": user, "exp": ends}, PASSWORD * 2, algorithm="HS256")
        with self._valkey.client() as client:
            everything = ("allkeys", "allchannels", "allcommands")
            client.execute_command("ACL", "SETUSER", user, "on", f">{token}", *everything)
        self.users.append(user)
        return SimpleNamespace(token=token, expires_on=ends)

    def signed_in(self) -> set[str]:
        """Return who has signed in on the connections that ask."""
        with self._valkey.client() as client:
            known = client.client_list()
        return {at["user"] for at in known if at["user"] != "default" and at["cmd"] != "subscribe"}


async def test_connections_sign_in_anew_before_a_token_ends(caplog: pytest.LogCaptureFixture) -> None:
    with ValkeyProcess() as valkey:
        credential = Credential(valkey)
        options = {"socket_timeout": 30.0, "socket_connect_timeout": 30.0}  # a busy machine is slow
        async with TokenCounter(
            POOLS, store=valkey.url, store_options=options, store_credential=credential, assume_idle=True
        ) as counter:
            await until_ready(counter.url)
            async with asyncio.timeout(60), TokenClient("a", counter.url) as client:
                assert (await client.lock_tokens(10)).allowed
                given = len(credential.users)
                while len(credential.users) < given + 2 or credential.signed_in() != {credential.users[-1]}:
                    assert (await client.lock_tokens(1)).allowed
                    await asyncio.sleep(0.3)
                with valkey.client() as server:
                    server.execute_command("ACL", "DELUSER", *credential.users[:-1])  # ends what they still have open
                assert (await client.lock_tokens(10)).allowed

    assert "cannot be used" not in caplog.text
    assert PASSWORD not in caplog.text


async def test_without_a_token_nothing_is_granted_and_the_reason_is_said(caplog: pytest.LogCaptureFixture) -> None:
    class Refused:
        async def get_token(self, *_: str) -> SimpleNamespace:
            raise RuntimeError(PASSWORD)

    with ValkeyProcess() as valkey:
        async with TokenCounter(POOLS, store=valkey.url, store_credential=Refused()) as counter, asyncio.timeout(30):
            while "cannot be used" not in caplog.text:
                await asyncio.sleep(0.02)
            await until_ready(counter.url, ready=False)

    assert PASSWORD not in caplog.text


async def test_a_wrong_password_is_said_so_and_nothing_is_granted(caplog: pytest.LogCaptureFixture) -> None:
    with ValkeyProcess() as valkey:
        protect(valkey, "another")
        async with StoreProxy(valkey) as proxy:
            url = proxy.url.replace("redis://", f"redis://:{PASSWORD}@")
            async with TokenCounter(POOLS, store=url, assume_idle=True) as counter, asyncio.timeout(30):
                while "AuthenticationError" not in caplog.text:
                    await asyncio.sleep(0.02)
                await until_ready(counter.url, ready=False)

    assert PASSWORD not in caplog.text


async def test_tls_is_spoken_with_a_server_whose_certificate_is_trusted(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    with ValkeyProcess() as valkey:
        async with StoreProxy(valkey, tls=context) as proxy:
            options = {"ssl_ca_certs": str(trusted)}
            async with TokenCounter(POOLS, store=proxy.url, store_options=options, assume_idle=True) as counter:
                await until_ready(counter.url)
                async with TokenClient("a", counter.url) as client:
                    assert (await client.lock_tokens(10)).allowed


async def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    context, _ = certificate(tmp_path)
    with ValkeyProcess() as valkey:
        async with (
            StoreProxy(valkey, tls=context) as proxy,
            TokenCounter(POOLS, store=proxy.url, assume_idle=True) as counter,
            asyncio.timeout(30),
        ):
            while "cannot be used" not in caplog.text:
                await asyncio.sleep(0.02)
            await until_ready(counter.url, ready=False)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@cache:6380/2", "redis://cache:6380/2"),
        ("rediss://:secret@[::1]:6380", "rediss://[::1]:6380"),
        ("rediss-cluster://user:secret@node:6380", "rediss-cluster://node:6380"),
        ("unix://user:secret@/run/valkey.sock?db=1", "unix:///run/valkey.sock"),
    ],
)
def test_an_address_is_shown_without_what_lets_in(url: str, shown: str) -> None:
    assert address(url) == shown


def test_a_database_of_a_cluster_is_refused() -> None:
    with pytest.raises(UsageError, match="--store must name no database"):
        read_options(["--tpm", "1000", "--rpm", "10", "--store", "redis-cluster://node/2"])


@pytest.mark.parametrize("url", ["", "cache:6379", "http://cache", "redis://", f"redis:/{PASSWORD}"])
def test_what_is_no_address_of_a_store_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError, match="--store must be redis://host:port") as refused:
        read_options(["--tpm", "1000", "--rpm", "10", "--store", url])

    assert PASSWORD not in str(refused.value)


def test_without_the_client_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    options = read_options(["--tpm", "1000", "--rpm", "10", "--store", "redis://cache"])

    with pytest.raises(UsageError, match=r"penstock-token-counter\[redis\]"):
        counter_of(options)


def test_a_store_and_a_journal_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--store and --journal exclude each other"):
        read_options(["--tpm", "1000", "--rpm", "10", "--store", "redis://cache", "--journal", "here"])
    with pytest.raises(ValueError, match="journal and store exclude each other"):
        TokenCounter(POOLS, store="redis://cache", journal="here")
