from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import Limits, Sharing
from penstock_token_client.protocol import TICKET_HEADER
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOLS = {
    "completion": Limits(tpm=1000, rpm=60, sub_window=10.0, headroom=0.0),
    "embedding": Limits(tpm=500, rpm=60),
    "quick": Limits(tpm=1000, rpm=6000, headroom=0.0, window=1.0, margin=0.0),
}
A = {"app_id": "a"}


class Wire:
    """Speaks the protocol by hand."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def post(self, path: str, message: object) -> tuple[int, dict[str, Any]]:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        async with self.session.post(self.url + path, data=body) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.json()

    async def status(self, pool: str = "completion") -> dict[str, Any]:
        return (await self.get(f"/pools/{pool}/status"))[1]

    async def until(self, waiting: int, pool: str = "completion") -> None:
        async with asyncio.timeout(10):
            while (await self.status(pool))["waiting"] != waiting:
                await asyncio.sleep(0.005)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with TokenCounter(POOLS, assume_idle=True) as counter, aiohttp.ClientSession() as session:
        yield Wire(session, counter.url)


async def test_a_lock_is_granted_reported_and_stays_charged(wire: Wire) -> None:
    _, granted = await wire.post("/lock", {**A, "v": 1, "token_count": 300, "some_day": "more"})
    _, reported = await wire.post(
        "/report", {**A, "request_id": granted["request_id"], "prompt_tokens": 1, "completion_tokens": 2}
    )
    status = await wire.status()

    assert granted["allowed"] is True
    assert granted["request_id"].endswith(":" + granted["rate_request_id"])
    assert granted["expires_at"] == pytest.approx(time.time() + 60.25, abs=5)
    assert reported == {"v": 1, "success": True, "known": True}
    assert (status["used_tokens"], status["locked_tokens"], status["available_tokens"]) == (300, 0, 700)
    assert status["available_requests"] == 59
    assert 50 < status["reset_time_seconds"] <= 60.25


async def test_a_release_gives_back(wire: Wire) -> None:
    _, granted = await wire.post("/lock", {**A, "token_count": 300})
    ids = {"request_id": granted["request_id"], "rate_request_id": granted["rate_request_id"]}

    assert (await wire.post("/release", {**A, **ids}))[1]["known"] is True
    assert (await wire.status())["available_tokens"] == 1000


async def test_without_waiting_a_full_pool_says_when(wire: Wire) -> None:
    await wire.post("/lock", {**A, "token_count": 1000})
    _, denied = await wire.post("/lock", {**A, "token_count": 1})

    assert (denied["allowed"], denied["code"]) == (False, "limited")
    assert 50_000 < denied["retry_after_ms"] <= 60_250
    assert "ticket" not in denied


async def test_a_poll_is_answered_the_moment_capacity_frees(wire: Wire) -> None:
    _, first = await wire.post("/lock", {**A, "token_count": 1000})
    poll = asyncio.ensure_future(wire.post("/lock", {**A, "token_count": 10, "wait_seconds": 60}))
    await wire.until(waiting=1)

    await wire.post("/release", {**A, "request_id": first["request_id"]})

    assert (await poll)[1]["allowed"] is True


async def test_a_poll_is_answered_when_the_window_moves_on(wire: Wire) -> None:
    began = time.monotonic()
    await wire.post("/pools/quick/lock", {**A, "token_count": 1000})
    _, granted = await wire.post("/pools/quick/lock", {**A, "token_count": 10, "wait_seconds": 60})

    assert granted["allowed"] is True
    assert 1.0 <= time.monotonic() - began < 30


async def test_a_caller_who_waits_learns_its_ticket_before_the_answer(wire: Wire) -> None:
    _, first = await wire.post("/lock", {**A, "token_count": 1000})

    async with wire.session.post(f"{wire.url}/lock", json={**A, "token_count": 1, "wait_seconds": 60}) as response:
        told = response.headers[TICKET_HEADER]
        assert (await wire.status())["waiting"] == 1
        await wire.post("/release", {**A, "request_id": first["request_id"]})
        answer = await response.json()

    assert (response.status, answer["allowed"]) == (200, True)
    assert told


async def test_a_caller_of_http_1_0_waits_like_everybody(wire: Wire) -> None:
    await wire.post("/lock", {**A, "token_count": 1000})
    async with aiohttp.ClientSession(version=aiohttp.HttpVersion10) as old:
        answer = await old.post(f"{wire.url}/lock", json={**A, "token_count": 1, "wait_seconds": 0.1})

        assert (await answer.json())["code"] == "limited"


async def test_an_expired_poll_brings_a_ticket_that_keeps_the_place(wire: Wire) -> None:
    _, first = await wire.post("/lock", {**A, "token_count": 1000})
    early = {**A, "token_count": 600}
    _, expired = await wire.post("/lock", {**early, "wait_seconds": 0.01})
    late = asyncio.ensure_future(wire.post("/lock", {"app_id": "b", "token_count": 600, "wait_seconds": 60}))
    await wire.until(waiting=1)
    again = asyncio.ensure_future(wire.post("/lock", {**early, "wait_seconds": 60, "ticket": expired["ticket"]}))
    await wire.until(waiting=2)

    await wire.post("/release", {**A, "request_id": first["request_id"]})

    assert (expired["allowed"], expired["code"], expired["position"]) == (False, "limited", 0)
    assert (await again)[1]["allowed"] is True
    assert not late.done()
    late.cancel()


async def test_a_caller_who_polls_twice_is_answered_once(wire: Wire) -> None:
    _, first = await wire.post("/lock", {**A, "token_count": 1000})
    message = {**A, "token_count": 600, "idempotency_key": "k", "wait_seconds": 60}
    early = asyncio.ensure_future(wire.post("/lock", message))
    await wire.until(waiting=1)
    late = asyncio.ensure_future(wire.post("/lock", message))
    _, ended = await early

    await wire.post("/release", {**A, "request_id": first["request_id"]})

    assert (ended["allowed"], ended["code"]) == (False, "retry")
    assert (await late)[1]["allowed"] is True


async def test_a_repeated_key_brings_the_same_grant_and_charges_once(wire: Wire) -> None:
    message = {**A, "token_count": 300, "idempotency_key": "k"}
    _, first = await wire.post("/lock", message)
    _, again = await wire.post("/lock", message)
    _, another_app = await wire.post("/lock", {**message, "app_id": "b"})

    assert again["request_id"] == first["request_id"]
    assert another_app["request_id"] != first["request_id"]
    assert (await wire.status())["locked_tokens"] == 600


async def test_a_key_for_something_else_is_refused(wire: Wire) -> None:
    await wire.post("/lock", {**A, "token_count": 300, "idempotency_key": "k"})
    status, refusal = await wire.post("/lock", {**A, "token_count": 301, "idempotency_key": "k"})

    assert (status, refusal["field"]) == (400, "idempotency_key")


async def test_what_nobody_waits_for_any_more_is_withdrawn_by_its_key(wire: Wire) -> None:
    _, granted = await wire.post("/lock", {**A, "token_count": 1000, "idempotency_key": "granted"})
    poll = asyncio.ensure_future(
        wire.post("/lock", {**A, "token_count": 10, "idempotency_key": "waiting", "wait_seconds": 60})
    )
    await wire.until(waiting=1)

    assert (await wire.post("/release", {**A, "idempotency_key": "waiting"}))[1]["known"] is True
    assert (await poll)[1]["code"] == "retry"
    assert (await wire.post("/release", {**A, "idempotency_key": "granted"}))[1]["known"] is True
    assert (await wire.post("/release", {**A, "idempotency_key": "granted"}))[1]["known"] is False
    assert (await wire.status())["locked_tokens"] == 0
    assert granted["allowed"] is True


async def test_what_can_never_fit_is_refused_for_good(wire: Wire) -> None:
    _, tokens = await wire.post("/lock", {**A, "token_count": 1001, "wait_seconds": 60})
    _, requests = await wire.post("/lock", {**A, "token_count": 1, "requests": 61, "wait_seconds": 60})

    assert (tokens["code"], requests["code"]) == ("exceeds_quota", "exceeds_quota")
    assert "retry_after_ms" not in tokens


@pytest.mark.parametrize("path", ["/embedding", "/pools/embedding"])
async def test_a_pool_has_a_path(wire: Wire, path: str) -> None:
    _, granted = await wire.post(f"{path}/lock", {**A, "token_count": 100})

    assert granted["allowed"] is True
    assert (await wire.get(f"{path}/status"))[1]["locked_tokens"] == 102
    assert (await wire.get("/status?pool=embedding"))[1]["pool"] == "embedding"
    assert (await wire.get("/status"))[1]["locked_tokens"] == 0


@pytest.mark.parametrize("call", ["report", "release"])
async def test_a_late_or_unseen_id_is_not_known(wire: Wire, call: str) -> None:
    message = {**A, "request_id": "token_00c0ffee-7:rate_00c0ffee-7", "prompt_tokens": 1, "completion_tokens": 1}

    assert await wire.post(f"/{call}", message) == (200, {"v": 1, "success": True, "known": False})


@pytest.mark.parametrize("request_id", ["nope", "token_1:rate_2", "token_00-1:rate_00-2", "token_00-1:rate_00-1:x"])
async def test_an_id_that_cannot_be_ours_is_not_found(wire: Wire, request_id: str) -> None:
    message = {**A, "request_id": request_id, "prompt_tokens": 1, "completion_tokens": 1}

    for call in ("report", "release"):
        status, refusal = await wire.post(f"/{call}", message)
        assert (status, refusal["field"]) == (404, "request_id")


@pytest.mark.parametrize(
    ("path", "message", "field"),
    [
        ("/lock", b"{", "body"),
        ("/lock", b"\xff", "body"),
        ("/lock", b"[" * 5000, "body"),
        ("/lock", [1], "body"),
        ("/lock", {"token_count": 1}, "app_id"),
        ("/lock", {"app_id": " ", "token_count": 1}, "app_id"),
        ("/lock", {"app_id": 7, "token_count": 1}, "app_id"),
        ("/lock", {"app_id": "a\n", "token_count": 1}, "app_id"),
        ("/lock", A, "token_count"),
        ("/lock", {**A, "token_count": -1}, "token_count"),
        ("/lock", {**A, "token_count": 1.0}, "token_count"),
        ("/lock", {**A, "token_count": True}, "token_count"),
        ("/lock", {**A, "token_count": "1"}, "token_count"),
        ("/lock", {**A, "token_count": float("nan")}, "token_count"),
        ("/lock", {**A, "token_count": 10**30}, "token_count"),
        ("/lock", {**A, "token_count": 1, "max_tokens": 2}, "max_tokens"),
        ("/lock", {**A, "token_count": 1, "requests": 0}, "requests"),
        ("/lock", {**A, "token_count": 1, "wait_seconds": -1}, "wait_seconds"),
        ("/lock", {**A, "token_count": 1, "wait_seconds": float("inf")}, "wait_seconds"),
        ("/lock", {**A, "token_count": 1, "ticket": ""}, "ticket"),
        ("/lock", {**A, "token_count": 1, "v": 2}, "v"),
        ("/report", {**A, "request_id": "x"}, "prompt_tokens"),
        ("/report", {**A, "request_id": "x", "prompt_tokens": 1, "completion_tokens": -1}, "completion_tokens"),
        (
            "/report",
            {**A, "request_id": "x", "prompt_tokens": 1, "completion_tokens": 1, "status": "no"},
            "status",
        ),
        (
            "/report",
            {**A, "request_id": "x", "prompt_tokens": 1, "completion_tokens": 1, "ratelimit": 7},
            "ratelimit",
        ),
        ("/release", A, "request_id"),
    ],
)
async def test_a_malformed_message_is_refused_by_its_field(wire: Wire, path: str, message: object, field: str) -> None:
    status, refusal = await wire.post(path, message)

    assert (status, refusal["field"]) == (400, field)
    assert field in refusal["message"]
    assert (await wire.status())["available_tokens"] == 1000


async def test_an_endless_body_is_refused(wire: Wire) -> None:
    status, refusal = await wire.post("/lock", b" " * 100_000)

    assert status == 413
    assert "longer than" in refusal["message"]


@pytest.mark.parametrize("path", ["/pools/other/lock", "/pools/other/status", "/status?pool=other"])
async def test_an_unknown_pool_is_not_found_and_the_known_ones_are_named(wire: Wire, path: str) -> None:
    status, refusal = await (wire.post(path, A) if path.endswith("lock") else wire.get(path))

    assert status == 404
    assert "completion, embedding, quick" in refusal["message"]


async def test_health_and_readiness(wire: Wire) -> None:
    assert (await wire.get("/healthz"))[1]["alive"] is True
    assert await wire.get("/readyz") == (200, {"v": 1, "ready": True, "store": "none"})
    assert (await wire.get("/nothing"))[0] == 404


async def test_a_pool_without_its_past_grants_nothing_for_one_window() -> None:
    pools = {name: Limits(tpm=1000, rpm=600, window=window) for name, window in (("minute", 60.0), ("quick", 0.5))}
    began = time.monotonic()
    async with TokenCounter(pools) as counter, aiohttp.ClientSession() as session:
        wire = Wire(session, counter.url)
        _, denied = await wire.post("/pools/minute/lock", {**A, "token_count": 1})
        _, granted = await wire.post("/pools/quick/lock", {**A, "token_count": 1, "wait_seconds": 60})

    assert (denied["code"], granted["allowed"]) == ("limited", True)
    assert time.monotonic() - began >= 0.5


async def test_a_full_line_is_said_so_to_one_app_only() -> None:
    sharing = {"completion": Sharing(max_depth=1)}
    async with TokenCounter(POOLS, assume_idle=True, sharing=sharing) as counter, aiohttp.ClientSession() as session:
        wire = Wire(session, counter.url)
        await wire.post("/lock", {**A, "token_count": 1000})
        poll = asyncio.ensure_future(wire.post("/lock", {**A, "token_count": 10, "wait_seconds": 60}))
        await wire.until(waiting=1)
        _, full = await wire.post("/lock", {**A, "token_count": 10, "wait_seconds": 60})
        _, other = await wire.post("/lock", {"app_id": "b", "token_count": 10, "wait_seconds": 0.01})
        queue = (await wire.status())["queue"]
        poll.cancel()

    assert (full["allowed"], full["code"], full["retry_after_ms"]) == (False, "queue_full", 1000)
    assert "1 callers" in full["message"]
    assert (other["code"], queue) == ("limited", {"a": 1})


def test_sharing_of_a_pool_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="other"):
        TokenCounter(POOLS, sharing={"other": Sharing()})
