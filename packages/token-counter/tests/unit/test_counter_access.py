"""Who may use a counter: keys decide the app and its pools, and what is open stays open."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import Access, App, TokenCounter
from penstock_token_counter._access import digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOLS = {name: Limits(tpm=1000, rpm=600, headroom=0.0) for name in ("completion", "embedding")}
ACCESS = Access(
    apps={
        "a": App(keys=[digest("a-old"), digest("a-new")]),
        "b": App(keys=[digest("b-key")], pools=["embedding"]),
    }
)
LOCK = {"app_id": "a", "token_count": 10}
READ = ["/status", "/pools/embedding/status", "/metrics", "/nothing", "/pools/secret/status"]


class Caller:
    """Calls one counter, with or without a key."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def __call__(
        self, path: str, message: dict[str, Any] | None = None, *, key: str | None = None, header: str | None = None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        shown = f"Bearer {key}" if key is not None else header
        headers = {} if shown is None else {"Authorization": shown}
        method = "GET" if message is None else "POST"
        async with self._session.request(method, self.url + path, json=message, headers=headers) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else {}, dict(response.headers)


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    async with TokenCounter(POOLS, assume_idle=True, access=ACCESS) as counter, aiohttp.ClientSession() as session:
        yield Caller(session, counter.url)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize("key", ["a-old", "a-new"])
async def test_each_key_of_an_app_lets_it_in(call: Caller, key: str) -> None:
    status, granted, _ = await call("/lock", LOCK, key=key)

    assert (status, granted["allowed"]) == (200, True)


async def test_the_client_shows_its_key() -> None:
    async with TokenCounter(POOLS, assume_idle=True, access=ACCESS) as counter:
        async with TokenClient("a", counter.url, key="a-new") as known:
            assert (await known.lock_tokens(10)).allowed
        async with TokenClient("a", counter.url) as unknown:
            refused = await unknown.lock_tokens(10)

    assert (refused.allowed, refused.code) == (False, "unavailable")
    assert "401" in (refused.error or "")


@pytest.mark.parametrize("path", ["/lock", "/report", "/release", "/pools/embedding/lock"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Digest a-new", basic("a-new"), "Basic %"])
async def test_without_a_known_key_no_message_is_read(call: Caller, path: str, header: str | None) -> None:
    status, refusal, headers = await call(path, {}, header=header)

    assert status == 401
    assert "Bearer" in headers["WWW-Authenticate"]
    assert "key" in refusal["message"]


@pytest.mark.parametrize(
    "shown", [b"Bearer \xff\xfe", b"Bearer \xc3\xa4.b.c", b"Basic \xff", b"\xff", b"Basic /////w=="]
)
async def test_what_cannot_be_a_key_is_refused_like_any_other(call: Caller, shown: bytes) -> None:
    host, _, port = call.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: " + shown + b"\r\n\r\n")

    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", READ)
async def test_what_is_read_needs_any_key_and_takes_it_from_a_browser_too(call: Caller, path: str) -> None:
    refused, _, headers = await call(path)
    expected = 404 if path in ("/nothing", "/pools/secret/status") else 200

    assert refused == 401
    assert "Basic" in headers["WWW-Authenticate"]
    for header in ("Bearer b-key", "bearer b-key", basic("b-key")):
        assert (await call(path, header=header))[0] == expected


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
async def test_what_is_open_needs_no_key(call: Caller, path: str) -> None:
    assert (await call(path))[0] == 200


async def test_a_key_speaks_for_no_other_app(call: Caller) -> None:
    status, refusal, _ = await call("/lock", LOCK, key="b-key")

    assert status == 403
    assert "app_id" in refusal["message"]


async def test_an_app_uses_only_its_pools(call: Caller) -> None:
    message = {**LOCK, "app_id": "b"}
    status, refusal, _ = await call("/lock", message, key="b-key")

    assert (status, "completion" in refusal["message"]) == (403, True)
    assert (await call("/pools/embedding/lock", message, key="b-key"))[1]["allowed"]


async def test_the_grant_of_another_app_is_none_of_ones_own(call: Caller) -> None:
    _, granted, _ = await call("/pools/embedding/lock", LOCK, key="a-new")
    message = {"app_id": "b", "request_id": granted["request_id"], "prompt_tokens": 1, "completion_tokens": 1}

    for path in ("/pools/embedding/release", "/pools/embedding/report"):
        status, answer, _ = await call(path, message, key="b-key")
        assert (status, answer["known"]) == (200, False)
    _, pool, _ = await call("/pools/embedding/status", key="b-key")
    assert (pool["locked_tokens"], pool["foreign_ids"]) == (10, 0)


async def test_apps_without_keys_are_known_by_what_they_say() -> None:
    access = Access(apps={"a": App(), "b": App(pools=["embedding"])})
    async with TokenCounter(POOLS, assume_idle=True, access=access) as counter, aiohttp.ClientSession() as session:
        call = Caller(session, counter.url)

        assert (await call("/lock", LOCK))[1]["allowed"]
        assert (await call("/lock", {**LOCK, "app_id": "b"}))[0] == 403
        status, refusal, _ = await call("/lock", {**LOCK, "app_id": "other"})
        assert (status, refusal["message"]) == (404, "there is no app 'other' here")
        assert (await call("/status"))[0] == 200


async def test_a_deployment_is_passed_on() -> None:
    deployments = {"completion": "gpt-4o-mini"}
    counter = TokenCounter(POOLS, assume_idle=True, deployments=deployments)
    async with counter, aiohttp.ClientSession() as session:
        call = Caller(session, counter.url)

        assert (await call("/lock", LOCK))[1]["deployment"] == "gpt-4o-mini"
        assert "deployment" not in (await call("/pools/embedding/lock", LOCK))[1]
        assert (await call("/status"))[1]["deployment"] == "gpt-4o-mini"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "counter.example"])  # noqa: S104 - refused, not bound
def test_an_address_that_others_reach_needs_keys_or_the_word_insecure(host: str) -> None:
    with pytest.raises(ValueError, match="--insecure"):
        TokenCounter(POOLS, host=host)
    with pytest.raises(ValueError, match="--insecure"):
        TokenCounter(POOLS, host=host, access=Access(apps={"a": App()}))

    TokenCounter(POOLS, host=host, access=ACCESS)
    TokenCounter(POOLS, host=host, insecure=True)


async def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    counter = TokenCounter(POOLS, assume_idle=True, access=ACCESS, requests_per_second=0.01)
    async with counter, aiohttp.ClientSession() as session:
        call = Caller(session, counter.url)
        answers = [await call("/status", key="a-new") for _ in range(3)]
        other, _, _ = await call("/status", key="b-key")

    assert [status for status, _, _ in answers] == [200, 429, 429]
    assert other == 200
    assert 90 <= int(answers[1][2]["Retry-After"]) <= 100


async def test_a_process_of_this_machine_is_counted_only_by_its_key() -> None:
    async with TokenCounter(POOLS, requests_per_second=0.001) as counter, aiohttp.ClientSession() as session:
        call = Caller(session, counter.url)

        assert [(await call("/status"))[0] for _ in range(5)] == [200] * 5


async def test_neither_the_key_nor_its_digest_is_in_any_repr_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with TokenCounter(POOLS, assume_idle=True, access=ACCESS) as counter, aiohttp.ClientSession() as session:
        await Caller(session, counter.url)("/lock", LOCK, key="canary")
        said = repr(ACCESS) + repr(counter) + caplog.text

    assert "canary" not in said
    assert digest("a-new") not in said
