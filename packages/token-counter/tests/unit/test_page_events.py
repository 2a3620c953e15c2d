from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from penstock_token_client import Limits
from penstock_token_counter import TokenCounter
from penstock_token_counter._desk import Desk
from penstock_token_counter._events import Events
from penstock_token_counter._history import History
from penstock_token_counter._sole_gate import SoleGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOLS = {"completion": Limits(tpm=1000, rpm=60, headroom=0.0), "embedding": Limits(tpm=500, rpm=60)}


async def event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read the next event, with its id."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(20):
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "data":
                found |= json.loads(value)
            elif name:
                found[name] = value
            elif "id" in found:
                return found
    raise AssertionError("the stream ended")


class WordyDesk(Desk):
    """Says more at once than the buffers of a connection hold."""

    def status(self) -> dict[str, Any]:
        return {**super().status(), "note": "x" * 8_000_000}


@asynccontextmanager
async def streaming(
    kind: type[Desk] = Desk, **options: Any
) -> AsyncIterator[tuple[aiohttp.ClientSession, str, History]]:
    """Serve events of one pool, sampled quickly."""
    desks = {"completion": kind("completion", SoleGate("completion", POOLS["completion"], assume_idle=True))}
    history = History(name="me")
    events = Events(desks, history, **{"interval": 0.01, **options})
    app = web.Application()
    app.cleanup_ctx.append(events.running)
    app.on_shutdown.append(events.end)
    app.router.add_get("/events", events.stream)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield session, str(server.make_url("/events")), history


async def test_a_counter_streams_a_snapshot_a_second() -> None:
    async with TokenCounter(POOLS, assume_idle=True) as counter, aiohttp.ClientSession() as session:
        async with session.post(f"{counter.url}/lock", json={"app_id": "a", "token_count": 300}) as answer:
            assert (await answer.json())["allowed"] is True
        async with session.get(f"{counter.url}/events") as response:
            first, second = await event(response), await event(response)

    assert response.content_type == "text/event-stream"
    assert first["retry"] == "1000"
    assert [status["pool"] for status in second["pools"]] == ["completion", "embedding"]
    assert second["pools"][0]["locked_tokens"] == 300
    assert second["pools"][0]["apps"][0]["app"] == "a"
    assert len(second["samples"]) == 1
    taken = [sample["at"] for sample in (*first["samples"], *second["samples"])]
    assert len(taken) - 1.5 < taken[-1] - taken[0] < len(taken) + 10  # a busy machine takes them late


async def test_a_reader_who_comes_back_gets_what_it_missed_and_no_more() -> None:
    async with streaming() as (session, url, history):
        async with session.get(url) as response:
            seen = await event(response)
        async with asyncio.timeout(20):
            while history.sequence < int(seen["id"].rpartition("-")[2]) + 5:
                await asyncio.sleep(0.01)
        async with session.get(url, headers={"Last-Event-ID": seen["id"]}) as response:
            missed = await event(response)
        async with session.get(url, headers={"Last-Event-ID": "another-3"}) as response:
            everything = await event(response)

    assert missed["samples"][0]["at"] > seen["samples"][-1]["at"]
    assert len(missed["samples"]) >= 5
    assert everything["samples"][: len(seen["samples"])] == seen["samples"]


async def test_what_a_slow_reader_misses_comes_in_one_event() -> None:
    async with streaming(WordyDesk) as (session, url, history), session.get(url) as response:
        async with asyncio.timeout(20):
            while history.sequence < 30:
                await asyncio.sleep(0.01)
        times: list[float] = []
        ids: list[str] = []
        rest = b""
        async with asyncio.timeout(20):
            while len(times) < 30:
                *whole, rest = (rest + await response.content.readany()).split(b"\n\n")
                found = [event.decode().partition("\ndata: ") for event in whole if b"data: " in event]
                times += [sample["at"] for _, _, data in found for sample in json.loads(data)["samples"]]
                ids += [head for head, _, _ in found]

    assert len(ids) < 10
    assert times == sorted(times)
    assert ids[-1].endswith(f"id: me-{len(times)}")


async def test_a_reader_who_takes_nothing_is_dropped_and_its_place_is_free() -> None:
    async with streaming(WordyDesk, most=1, patience=0.3, interval=0.2) as (session, url, _), AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection(*url.split("/")[2].split(":"), limit=1)
        stack.callback(writer.close)
        writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.read(1)
        async with session.get(url) as refused:
            assert refused.status == 503

        async with asyncio.timeout(20):
            while (again := await session.get(url)).status != 200:
                again.close()
                await asyncio.sleep(0.05)
        again.close()


async def test_there_are_so_many_streams_and_no_more() -> None:
    async with streaming(most=2) as (session, url, _):
        async with session.get(url) as one, session.get(url) as other:
            await event(one)
            await event(other)
            async with session.get(url) as refused:
                message = (await refused.json())["message"]
        async with asyncio.timeout(20):
            while (again := await session.get(url)).status != 200:
                again.close()
                await asyncio.sleep(0.01)
        again.close()

    assert refused.status == 503
    assert "close one" in message


async def test_streams_end_when_the_counter_stops() -> None:
    async with TokenCounter(POOLS, assume_idle=True) as counter, aiohttp.ClientSession() as session:
        response = await session.get(f"{counter.url}/events")
        await event(response)
        async with asyncio.timeout(4):  # less than what the counter leaves to answers under way
            await counter.__aexit__(None, None, None)
        rest = await response.content.read()

    assert response.content.at_eof()
    assert rest == b"" or rest.endswith(b"\n\n")


async def test_all_pools_are_told_at_once() -> None:
    async with TokenCounter(POOLS, assume_idle=True) as counter, aiohttp.ClientSession() as session:
        async with session.get(f"{counter.url}/pools") as response:
            pools = await response.json()
        async with session.get(f"{counter.url}/status?pool=embedding") as response:
            status = await response.json()

    assert [pool["pool"] for pool in pools["pools"]] == ["completion", "embedding"]
    assert {"v": pools["v"], **pools["pools"][1]} == status


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/", "text/html"), ("/page/page.js", "text/javascript"), ("/page/page.css", "text/css")],
)
async def test_the_page_is_served_under_a_strict_policy(path: str, content_type: str) -> None:
    async with (
        TokenCounter(POOLS, assume_idle=True) as counter,
        aiohttp.ClientSession() as session,
        session.get(counter.url + path) as response,
    ):
        text = await response.text()

    policy = response.headers["Content-Security-Policy"]
    assert (response.status, response.content_type) == (200, content_type)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in text.replace("http_429", "")
