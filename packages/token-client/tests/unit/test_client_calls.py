from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from penstock_token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import ScriptedCounter, Step


@pytest.fixture
async def client(counter: ScriptedCounter) -> AsyncIterator[TokenClient]:
    async with TokenClient("feedback", counter.url, timeout=5.0) as made:
        yield made


async def empty_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="", content_type="application/json")


async def deep_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="[" * 100_000, content_type="application/json")


@pytest.mark.parametrize(
    ("step", "pattern"),
    [
        (empty_json, "not a JSON object"),
        (deep_json, "not JSON"),
    ],
)
async def test_an_answer_that_cannot_be_read_is_a_fault(
    client: TokenClient, counter: ScriptedCounter, step: Step, pattern: str
) -> None:
    counter.script("lock", step)

    lock = await client.lock_tokens(1)

    assert not lock.allowed
    assert lock.code == "unavailable"
    assert lock.error is not None
    assert lock.error.startswith("Client error:")
    assert pattern in lock.error


async def test_what_the_counter_says_about_a_bad_message_comes_through(
    client: TokenClient, counter: ScriptedCounter
) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "token_count is odd"}, status=400)

    counter.script("lock", refuse)

    assert "400: token_count is odd" in str((await client.lock_tokens(1)).error)


@pytest.mark.parametrize("count", [True, 1.5, "7", None, float("nan")])
async def test_a_bad_count_is_refused_by_name_without_asking(
    client: TokenClient, counter: ScriptedCounter, count: Any
) -> None:
    allowed, request_id, error = await client.lock_tokens(count)

    assert (allowed, request_id) == (False, None)
    assert str(error).startswith("token_count must be")
    assert counter.calls == []


async def test_a_report_is_told_again_when_the_connection_broke(
    client: TokenClient, counter: ScriptedCounter, broken: Step
) -> None:
    counter.script("report", broken)

    assert await client.report_usage("token_0a-1:rate_0a-1", 1, 1)
    assert len(counter.asked("report")) == 2
