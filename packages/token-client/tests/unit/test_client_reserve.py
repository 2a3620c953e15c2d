from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientConnectorError, web

from penstock_token_client import TokenClient, TokenCounterUnavailable, TokenLimitExceeded
from penstock_token_client._asking import Patience
from penstock_token_client._connection import CallError
from penstock_token_client.protocol import TICKET_HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import ScriptedCounter, Step

LIMITED = {"allowed": False, "code": "limited", "message": "used up", "retry_after_ms": 1, "ticket": "t-1"}


@pytest.fixture
async def client(counter: ScriptedCounter) -> AsyncIterator[TokenClient]:
    async with TokenClient("feedback", counter.url, timeout=5.0) as made:
        yield made


async def test_a_reservation_is_asked_for_held_and_settled(client: TokenClient, counter: ScriptedCounter) -> None:
    async with client.reserve(1200, max_tokens=400) as reservation:
        told = await reservation.report(
            prompt_tokens=800,
            completion_tokens=150,
            headers={"X-RateLimit-Remaining-Tokens": "41", "x-ratelimit-limit-tokens": "-1", "x-secret": "canary"},
            status="truncated",
        )

    assert told
    (asked,), (report,) = counter.asked("lock"), counter.asked("report")
    assert (asked["token_count"], asked["max_tokens"], asked["wait_seconds"]) == (1200, 400, 60.0)
    assert report == {
        "v": 1,
        "app_id": "feedback",
        "request_id": "token_0a-1:rate_0a-1",
        "rate_request_id": "rate_0a-1",
        "prompt_tokens": 800,
        "completion_tokens": 150,
        "status": "truncated",
        "ratelimit": {"remaining_tokens": 41},
    }
    assert client.unreported == 0


async def test_it_asks_again_with_ticket_and_key_until_it_is_granted(
    client: TokenClient, counter: ScriptedCounter
) -> None:
    counter.script("lock", LIMITED, LIMITED)

    async with client.reserve(10) as reservation:
        await reservation.report(prompt_tokens=1, completion_tokens=1)

    asked = counter.asked("lock")
    assert [message.get("ticket") for message in asked] == [None, "t-1", "t-1"]
    assert len({message["idempotency_key"] for message in asked}) == 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_it_waits_over_a_counter_that_restarts(
    client: TokenClient, counter: ScriptedCounter, status: int
) -> None:
    counter.script("lock", status)

    async with client.reserve(10) as reservation:
        await reservation.release()

    assert len(counter.asked("lock")) == 2


@pytest.mark.parametrize("body", ["<html>", '"text"', '{"message": 7}', "[" * 100_000])
async def test_it_waits_over_a_proxy_whose_answer_is_no_message(
    client: TokenClient, counter: ScriptedCounter, body: str
) -> None:
    async def proxy(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text=body, content_type="application/json")

    counter.script("lock", proxy)

    async with client.reserve(10) as reservation:
        await reservation.release()

    assert len(counter.asked("lock")) == 2


async def test_it_waits_over_connections_that_break(
    client: TokenClient, counter: ScriptedCounter, broken: Step
) -> None:
    counter.script("lock", broken, {"allowed": False, "code": "retry", "retry_after_ms": 1}, broken)

    async with client.reserve(10) as reservation:
        await reservation.release()

    assert len({message["idempotency_key"] for message in counter.asked("lock")}) == 1


async def test_a_place_told_before_the_connection_broke_is_asked_for_again(
    client: TokenClient, counter: ScriptedCounter, broken: Step
) -> None:
    async def tell_the_place_and_hang_up(request: web.Request) -> web.StreamResponse:
        await web.StreamResponse(headers={TICKET_HEADER: "t-1"}).prepare(request)
        return await broken(request)

    counter.script("lock", tell_the_place_and_hang_up)

    async with client.reserve(10) as reservation:
        await reservation.release()

    assert [message.get("ticket") for message in counter.asked("lock")] == [None, "t-1"]


def test_tries_that_fail_at_once_come_further_and_further_apart() -> None:
    patience = Patience(lambda: 1.0, shortest=0.1, longest=5.0)

    assert [patience.after_fault(0.0) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_a_poll_that_was_held_before_it_broke_is_asked_again_almost_at_once() -> None:
    patience = Patience(lambda: 1.0, shortest=0.1, longest=5.0)

    assert [patience.after_fault(15.0) for _ in range(9)] == [0.1] * 9


async def test_it_can_wait_for_a_counter_that_is_not_there_yet(unused_tcp_port: int) -> None:
    async def grant(_: web.Request) -> web.StreamResponse:
        return web.json_response({"allowed": True, "request_id": "a:b"})

    app = web.Application()
    app.router.add_post("/lock", grant)
    app.router.add_post("/release", grant)
    runner = web.AppRunner(app)
    async with TokenClient("feedback", f"http://127.0.0.1:{unused_tcp_port}") as client:
        waiting = asyncio.ensure_future(client.reserve(10).__aenter__())
        assert (await client.lock_tokens(1)).code == "unavailable"
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
        reservation = await waiting
        await reservation.release()
    await runner.cleanup()

    assert reservation.request_id == "a:b"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
async def test_a_refusal_is_not_waited_over(client: TokenClient, counter: ScriptedCounter, status: int) -> None:
    counter.script("lock", status)

    with pytest.raises(TokenCounterUnavailable) as refusal:
        async with client.reserve(10):
            raise AssertionError

    assert refusal.value.status == status
    assert refusal.value.environment
    assert not refusal.value.permanent


async def test_what_can_never_fit_is_permanent(client: TokenClient, counter: ScriptedCounter) -> None:
    counter.script("lock", {"allowed": False, "code": "exceeds_quota", "message": "too large"})

    with pytest.raises(TokenLimitExceeded, match="too large") as refusal:
        async with client.reserve(10):
            raise AssertionError

    assert refusal.value.permanent
    assert not refusal.value.environment
    assert counter.asked("release") == []


async def test_a_deadline_ends_the_wait_and_gives_up_the_place(counter: ScriptedCounter) -> None:
    async def hold(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep((await request.json())["wait_seconds"])
        return web.json_response({**LIMITED, "retry_after_ms": 4000})

    counter.script("lock", hold, hold, hold)
    async with TokenClient("feedback", counter.url) as client:
        began = time.monotonic()
        with pytest.raises(TokenLimitExceeded) as refusal:
            async with client.reserve(10, deadline=0.2):
                raise AssertionError
        assert 0.2 <= time.monotonic() - began < 5

    assert refusal.value.environment
    assert refusal.value.retry_after == 4.0
    assert counter.asked("release")[0]["idempotency_key"] == counter.asked("lock")[0]["idempotency_key"]


async def test_a_deadline_over_an_absent_counter_says_so(unused_tcp_port: int) -> None:
    async with TokenClient("feedback", f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(TokenCounterUnavailable, match="Client error") as refusal:
            async with client.reserve(10, deadline=0.2):
                raise AssertionError

    assert refusal.value.url == client.base_url
    assert isinstance(refusal.value.__cause__, CallError)
    assert isinstance(refusal.value.__cause__.__cause__, ClientConnectorError), "it says what broke"


async def test_no_deadline_to_wait_means_one_try(client: TokenClient, counter: ScriptedCounter) -> None:
    counter.script("lock", LIMITED)

    with pytest.raises(TokenLimitExceeded):
        async with client.reserve(10, deadline=0):
            raise AssertionError

    assert "wait_seconds" not in counter.asked("lock")[0]


@pytest.mark.parametrize(
    "faulty",
    [{"token_count": -1}, {"max_tokens": 11}, {"requests": 0}, {"deadline": -1.0}, {"deadline": float("nan")}],
)
async def test_bad_arguments_are_refused_by_name(
    client: TokenClient, counter: ScriptedCounter, faulty: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(faulty))):
        async with client.reserve(**{"token_count": 10, **faulty}):
            raise AssertionError

    assert counter.calls == []


async def test_leaving_without_a_word_leaves_it_charged_and_counts_it(
    client: TokenClient, counter: ScriptedCounter
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with client.reserve(10):
            raise ZeroDivisionError

    assert client.unreported == 1
    assert counter.asked("release") == []


async def test_cancellation_inside_the_block_leaves_it_charged(client: TokenClient, counter: ScriptedCounter) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with client.reserve(10):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])

    assert client.unreported == 1
    assert counter.asked("release") == []


async def test_a_caller_cancelled_while_it_waits_withdraws_its_wish(
    client: TokenClient, counter: ScriptedCounter, stalled: Step
) -> None:
    counter.script("lock", stalled)
    task = asyncio.ensure_future(client.reserve(10).__aenter__())
    await counter.heard("lock")

    task.cancel()
    await asyncio.wait([task])
    await counter.heard("release")

    assert counter.asked("release")[0]["idempotency_key"] == counter.asked("lock")[0]["idempotency_key"]
    assert client.unreported == 0


async def test_a_report_that_did_not_arrive_is_counted(client: TokenClient, counter: ScriptedCounter) -> None:
    counter.script("report", 500)

    async with client.reserve(10) as reservation:
        assert not await reservation.report(prompt_tokens=1, completion_tokens=1)

    assert client.unreported == 1


async def test_reports_do_not_queue_behind_polls(client: TokenClient, counter: ScriptedCounter, stalled: Step) -> None:
    counter.script("lock", *[stalled] * 150)
    polls = [asyncio.ensure_future(client.reserve(10).__aenter__()) for _ in range(150)]
    await counter.heard("lock", 150)

    assert await client.report_usage("token_0a-1:rate_0a-1", 1, 1)

    for poll in polls:
        poll.cancel()
    await asyncio.wait(polls)


async def test_going_and_coming_back_is_logged_once(
    client: TokenClient, counter: ScriptedCounter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "penstock_token_client")
    counter.script("lock", 503, 503)

    async with client.reserve(10) as reservation:
        await reservation.release()

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
