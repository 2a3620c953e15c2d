from __future__ import annotations

import sys
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


def closed_port_url(unused_tcp_port: int) -> str:
    return f"http://127.0.0.1:{unused_tcp_port}"


async def test_a_lock_unpacks_into_what_callers_need(client: TokenClient, counter: ScriptedCounter) -> None:
    allowed, request_id, error = await client.lock_tokens(1200)

    assert (allowed, request_id, error) == (True, "token_0a-1:rate_0a-1", None)
    (asked,) = counter.asked("lock")
    assert asked.pop("idempotency_key")
    assert asked == {"v": 1, "app_id": "feedback", "token_count": 1200}


async def test_a_denial_says_why_and_when(client: TokenClient, counter: ScriptedCounter) -> None:
    counter.script("lock", {"allowed": False, "message": "used up", "code": "limited", "retry_after_ms": 1500})

    lock = await client.lock_tokens(1200)

    assert tuple(lock) == (False, None, "used up")
    assert (lock.code, lock.retry_after) == ("limited", 1.5)
    with pytest.raises(AttributeError, match="frozen"):
        lock.code = "ok"


async def test_a_grant_without_an_id_goes_by_the_key_that_was_sent(
    client: TokenClient, counter: ScriptedCounter
) -> None:
    counter.script("lock", {"allowed": True})

    lock = await client.lock_tokens(1)

    assert lock.request_id == counter.asked("lock")[0]["idempotency_key"]


@pytest.mark.parametrize("answer", [{}, {"allowed": None}, {"allowed": "yes", "request_id": 7}])
async def test_an_answer_that_does_not_say_yes_is_no(
    client: TokenClient, counter: ScriptedCounter, answer: dict[str, Any]
) -> None:
    counter.script("lock", answer)

    assert not (await client.lock_tokens(1)).allowed


async def text(_: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


async def broken_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="hello", content_type="application/json")


async def empty_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="", content_type="application/json")


async def deep_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="[" * 100_000, content_type="application/json")


@pytest.mark.parametrize(
    ("step", "pattern"),
    [
        (500, "Client error: the token counter answered 500"),
        (text, "unexpected mimetype"),
        (broken_json, "Expecting value"),
        (empty_json, "not a JSON object"),
        (deep_json, "not JSON"),
    ],
)
async def test_a_fault_is_an_answer_of_lock_tokens(
    client: TokenClient, counter: ScriptedCounter, step: Step | int, pattern: str
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


async def test_a_counter_that_is_not_there_is_a_client_error(unused_tcp_port: int) -> None:
    async with TokenClient("feedback", closed_port_url(unused_tcp_port)) as client:
        allowed, request_id, error = await client.lock_tokens(1)
        reported = await client.report_usage("token_0a-1:rate_0a-1", 1, 1)
        status = await client.get_status()

    assert (allowed, request_id, reported, status) == (False, None, False, None)
    assert "Client error:" in str(error)


async def test_a_counter_that_stalls_is_a_client_error(counter: ScriptedCounter, stalled: Step) -> None:
    counter.script("lock", stalled)
    async with TokenClient("feedback", counter.url, timeout=0.2) as client:
        error = (await client.lock_tokens(1)).error

    assert error == "Client error: no answer within 0.2 s"
    assert counter.asked("release")[0]["idempotency_key"] == counter.asked("lock")[0]["idempotency_key"]


@pytest.mark.parametrize("count", [-1, True, 1.5, "7", None, float("nan"), 2**63])
async def test_a_bad_count_is_refused_by_name_without_asking(
    client: TokenClient, counter: ScriptedCounter, count: Any
) -> None:
    allowed, request_id, error = await client.lock_tokens(count)

    assert (allowed, request_id) == (False, None)
    assert str(error).startswith("token_count must be")
    assert counter.calls == []


@pytest.mark.parametrize("count", [0, 999_999_999, sys.maxsize])
async def test_a_count_at_the_edge_is_asked(client: TokenClient, counter: ScriptedCounter, count: int) -> None:
    assert (await client.lock_tokens(count)).allowed
    assert counter.asked("lock")[0]["token_count"] == count


async def test_a_report_carries_a_compound_id_whole_and_its_second_part(
    client: TokenClient, counter: ScriptedCounter
) -> None:
    assert await client.report_usage("token_123:rate_456:extra", 800, 0)

    (asked,) = counter.asked("report")
    assert asked["request_id"] == "token_123:rate_456:extra"
    assert asked["rate_request_id"] == "rate_456:extra"
    assert (asked["prompt_tokens"], asked["completion_tokens"]) == (800, 0)


@pytest.mark.parametrize("request_id", ["", ":", " : ", None])
async def test_an_id_that_names_nothing_is_refused(
    client: TokenClient, counter: ScriptedCounter, request_id: Any
) -> None:
    assert not await client.report_usage(request_id, 1, 1)
    assert not await client.release_tokens(request_id)
    assert counter.calls == []


async def test_negative_use_is_refused(client: TokenClient, counter: ScriptedCounter) -> None:
    assert not await client.report_usage("token_0a-1:rate_0a-1", -1, 1)
    assert counter.calls == []


@pytest.mark.parametrize("call", ["report", "release"])
async def test_an_id_that_the_counter_does_not_know_any_more_is_false(
    client: TokenClient, counter: ScriptedCounter, call: str
) -> None:
    counter.script(call, {"success": True, "known": False})

    told = client.report_usage("a:b", 1, 1) if call == "report" else client.release_tokens("a:b")

    assert not await told


async def test_a_report_is_told_again_when_the_connection_broke(
    client: TokenClient, counter: ScriptedCounter, broken: Step
) -> None:
    counter.script("report", broken)

    assert await client.report_usage("token_0a-1:rate_0a-1", 1, 1)
    assert len(counter.asked("report")) == 2


async def test_status_is_what_the_counter_says(client: TokenClient, counter: ScriptedCounter) -> None:
    counter.script("status", {"available_tokens": 7}, 503)

    assert await client.get_status() == {"available_tokens": 7}
    assert await client.get_status() is None


async def test_a_closed_client_says_so(counter: ScriptedCounter) -> None:
    client = TokenClient("feedback", counter.url)
    await client.aclose()

    assert (await client.lock_tokens(1)).error == "Client error: this client was closed"
