from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from penstock_token_client import Limits
from penstock_token_counter import TokenCounter
from penstock_token_counter._status import run
from penstock_token_counter._usage import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOLS = {"completion": Limits(tpm=1000, rpm=60), "embedding": Limits(tpm=500, rpm=60)}
KEY = "canary-of-a-key"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN_COUNTER_URL", raising=False)
    monkeypatch.delenv("TOKEN_COUNTER_KEY", raising=False)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with TokenCounter(POOLS, assume_idle=True) as counter:
        yield counter.url


async def status(*arguments: str) -> int:
    """Run the command beside the loop that serves it."""
    return await asyncio.to_thread(run, arguments)


async def refusal(*arguments: str) -> str:
    """Return the one sentence that says why there is no status."""
    with pytest.raises(UsageError) as refused:
        await status(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


class Odd:
    """A server that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: tuple[int, Any] = (200, {})
        self.headers: list[str | None] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Authorization"))
        code, body = self.answer
        return web.Response(status=code, text=body if isinstance(body, str) else json.dumps(body))


@pytest.fixture
async def odd() -> AsyncIterator[Odd]:
    server, app = Odd(), web.Application()
    app.router.add_get("/{path:.*}", server.serve)
    async with TestServer(app) as listening:
        server.url = str(listening.make_url("")).rstrip("/")
        yield server


async def test_it_prints_every_pool(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await status("--url", url + "/") == 0

    said = capsys.readouterr().out
    assert "completion: 0 % of the window used, nobody waiting\n" in said
    assert "embedding: 0 % of the window used, nobody waiting\n" in said


async def test_it_prints_one_pool(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    await status("--url", url, "--pool", "embedding")

    assert "completion" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "pools"), [((), ["completion", "embedding"]), (("--pool", "embedding"), ["embedding"])]
)
async def test_it_prints_one_line_of_json(
    url: str, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], pools: list[str]
) -> None:
    await status("--url", url, "--json", *options)

    said = capsys.readouterr().out
    told = json.loads(said)
    assert said.count("\n") == 1
    assert (told["v"], told["url"]) == (1, url)
    assert [pool["pool"] for pool in told["pools"]] == pools
    assert told["pools"][-1]["tpm"] == 500
    assert "v" not in told["pools"][-1]


async def test_the_environment_says_where_the_counter_is(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN_COUNTER_URL", f" {url} ")

    assert await status("--json") == 0
    assert json.loads(capsys.readouterr().out)["url"] == url


async def test_the_key_goes_into_the_header_and_nowhere_else(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.answer = (401, {"v": 1, "message": "no"})

    without = await refusal("--url", odd.url)
    monkeypatch.setenv("TOKEN_COUNTER_KEY", KEY)
    refused = await refusal("--url", odd.url)

    assert odd.headers == [None, f"Bearer {KEY}"]
    assert "put it into TOKEN_COUNTER_KEY" in without
    assert KEY not in refused


@pytest.mark.parametrize("address", ["nowhere", "ftp://host", "http://", "http://host:99999", "http://me:secret@host"])
async def test_an_address_that_is_none_is_said_so(address: str) -> None:
    said = await refusal("--url", address)

    assert "must be an address such as http://localhost:8001" in said
    assert "secret" not in said


async def test_a_counter_that_is_not_there_is_said_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert "Connection refused" in await refusal("--url", address)


async def test_an_unknown_pool_is_refused_and_the_known_ones_are_named(url: str) -> None:
    assert "only completion, embedding" in await refusal("--url", url, "--pool", "other")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, "<html>"), "is no token counter (HTTP 200)"),
        ((200, "[" * 100_000), "is no token counter"),
        ((200, [1]), "is no token counter"),
        ((404, {"detail": "Not Found"}), "is no token counter (HTTP 404)"),
        ((302, "elsewhere"), "is no token counter (HTTP 302)"),
        ((200, {"v": 2, "pools": []}), "of another version"),
        ((503, {"v": 1, "message": "it stops"}), "refuses: it stops"),
    ],
)
async def test_an_answer_that_is_no_status_is_said_so(odd: Odd, answer: tuple[int, Any], why: str) -> None:
    odd.answer = answer

    assert why in await refusal("--url", odd.url)


async def test_an_unknown_option_is_said_so() -> None:
    assert "see --help" in await refusal("--unknown")
