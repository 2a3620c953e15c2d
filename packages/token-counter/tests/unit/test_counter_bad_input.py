"""Whatever comes in, the answer says what is wrong, and the ledger is as it was."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import Limits
from penstock_token_counter import Access, App, TokenCounter, _answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOLS = {"completion": Limits(tpm=1000, rpm=600, headroom=0.0), "embedding": Limits(tpm=1000, rpm=600)}
JSON = "application/json"
LOCK: dict[str, Any] = {"app_id": "a", "token_count": 10}
USED = {"prompt_tokens": 1, "completion_tokens": 1}
UNSEEN = "token_00c0ffee-7:rate_00c0ffee-7"
WRONG_COUNTS = [
    "-1",
    "1.5",
    "1.0",
    "1e3",
    '"10"',
    "true",
    "[]",
    "{}",
    str(2**63),
    "9" * 400,
]


class Counter:
    """A counter with one grant that must stay as it is."""

    def __init__(self, session: aiohttp.ClientSession, url: str, granted: str) -> None:
        self.session = session
        self.url = url
        self.granted = granted

    async def post(
        self, path: str, body: Any, media_type: str | None = JSON, method: str = "POST"
    ) -> tuple[int, dict[str, Any]]:
        headers = {} if media_type is None else {"Content-Type": media_type}
        skip = ["Content-Type"] if media_type is None else []
        async with self.session.request(
            method, self.url + path, data=body, headers=headers, skip_auto_headers=skip
        ) as response:
            return response.status, await response.json()

    async def ledger(self) -> dict[str, Any]:
        """Return how all pools stand, without the time that passes."""
        pools = {}
        for pool in POOLS:
            async with self.session.get(f"{self.url}/pools/{pool}/status") as response:
                pools[pool] = await response.json()
            assert pools[pool].pop("reset_time_seconds") >= 0
        return pools


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    access = Access(apps={"a": App(), "b": App(pools=["embedding"])})
    async with TokenCounter(POOLS, assume_idle=True, access=access) as service, aiohttp.ClientSession() as session:
        async with session.post(f"{service.url}/lock", json={**LOCK, "idempotency_key": "k"}) as response:
            granted = (await response.json())["request_id"]
        yield Counter(session, service.url, granted)


async def refused(counter: Counter, path: str, body: Any, media_type: str | None = JSON) -> tuple[int, dict[str, Any]]:
    """Send what must change nothing."""
    before = await counter.ledger()
    status, answer = await counter.post(path, body, media_type)
    assert await counter.ledger() == before
    assert before["completion"]["locked_tokens"] == 10
    return status, answer


@pytest.mark.parametrize("count", WRONG_COUNTS)
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/lock", "token_count"),
        ("/lock", "max_tokens"),
        ("/lock", "requests"),
        ("/report", "prompt_tokens"),
        ("/report", "completion_tokens"),
    ],
)
async def test_a_wrong_count_is_refused_by_its_name(counter: Counter, path: str, field: str, count: str) -> None:
    message = {**LOCK, "idempotency_key": "k", "request_id": counter.granted, **USED, field: 0}
    body = json.dumps(message).replace(f'"{field}": 0', f'"{field}": {count}')

    status, answer = await refused(counter, path, body)

    assert (status, answer["field"]) == (400, field)
    assert field in answer["message"]


@pytest.mark.parametrize("count", ["NaN", "Infinity", "-Infinity", "1_000", "0x10", "01", "+1"])
async def test_a_count_that_json_does_not_know_is_refused(counter: Counter, count: str) -> None:
    status, answer = await refused(counter, "/lock", f'{{"app_id": "a", "token_count": {count}}}')

    assert (status, answer["field"] in ("body", "token_count")) == (400, True)


@pytest.mark.parametrize("path", ["/lock", "/report", "/release"])
@pytest.mark.parametrize("app_id", ['""', '" "', '"\\t"', "null", "7", '"a\\u0000"', f'"{"x" * 257}"', '["a"]'])
async def test_an_app_id_that_says_nothing_is_refused(counter: Counter, path: str, app_id: str) -> None:
    body = json.dumps({**LOCK, **USED, "request_id": counter.granted}).replace('"app_id": "a"', f'"app_id": {app_id}')

    status, answer = await refused(counter, path, body)

    assert (status, answer["field"]) == (400, "app_id")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"app_id": "a", "token_count": 1',
        b'{"app_id": "a"} {}',
        b"null",
        b'"text"',
        b"[1]",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"app_id":' * 6_000,
        b"9" * 60_000,
        b"app_id=a&token_count=1",
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("path", ["/lock", "/report", "/release"])
async def test_what_is_no_object_of_json_is_refused(counter: Counter, path: str, body: bytes) -> None:
    status, answer = await refused(counter, path, body)

    assert (status, answer["field"]) == (400, "body")


@pytest.mark.parametrize(
    "media_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"],
)
@pytest.mark.parametrize("path", ["/lock", "/report", "/release"])
async def test_a_body_must_say_that_it_is_json(counter: Counter, path: str, media_type: str | None) -> None:
    status, answer = await refused(counter, path, json.dumps(LOCK).encode(), media_type)

    assert status == 415
    assert "Content-Type: application/json" in answer["message"]


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/octet-stream"]
)
async def test_json_may_be_said_in_several_ways(counter: Counter, media_type: str) -> None:
    assert (await counter.post("/lock", json.dumps(LOCK).encode(), media_type))[1]["allowed"]


@pytest.mark.parametrize("path", ["/lock", "/report", "/release"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_refused(counter: Counter, path: str, *, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65_536

    before = await counter.ledger()
    status, answer = await counter.post(path, pieces() if chunked else b" " * 10_485_760)

    assert (status, "longer than" in answer["message"]) == (413, True)
    assert await counter.ledger() == before


async def test_half_a_body_does_not_hold_the_counter_for_ever(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_answers, "_BODY_WITHIN", 0.05)
    host, _, port = counter.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /lock HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")

    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", ["/pools/other/lock", "/pools/Completion/report", "/other/release", "/lock/"])
async def test_what_is_not_there_is_not_found(counter: Counter, path: str) -> None:
    status, answer = await refused(counter, path, json.dumps(LOCK).encode())

    assert status == 404
    assert "there is no" in answer["message"]


@pytest.mark.parametrize("path", ["/lock", "/report", "/release"])
async def test_an_unknown_app_is_not_found_and_another_pool_forbidden(counter: Counter, path: str) -> None:
    message = {**LOCK, **USED, "request_id": counter.granted}

    status, answer = await refused(counter, path, json.dumps({**message, "app_id": "nobody"}))
    assert (status, "nobody" in answer["message"]) == (404, True)
    status, answer = await refused(counter, path, json.dumps({**message, "app_id": "b"}))
    assert (status, "completion" in answer["message"]) == (403, True)


@pytest.mark.parametrize("path", ["/report", "/release"])
@pytest.mark.parametrize(
    ("request_id", "status"), [("x", 404), ("token_1:rate_2", 404), ("'; DROP TABLE", 404), (UNSEEN, 200), (None, 400)]
)
async def test_an_id_that_is_not_in_the_window_changes_nothing(
    counter: Counter, path: str, request_id: str | None, status: int
) -> None:
    answered, answer = await refused(counter, path, json.dumps({"app_id": "a", **USED, "request_id": request_id}))

    assert answered == status
    assert answer.get("known", False) is False


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
async def test_another_method_is_told_which_one_is_taken(counter: Counter, method: str) -> None:
    async with counter.session.request(method, f"{counter.url}/lock") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert "only POST" in (await response.json())["message"]


async def test_one_and_the_same_key_for_another_wish_is_refused(counter: Counter) -> None:
    status, answer = await refused(counter, "/lock", json.dumps({**LOCK, "token_count": 11, "idempotency_key": "k"}))

    assert (status, answer["field"]) == (400, "idempotency_key")


async def test_what_can_never_fit_changes_nothing_but_the_count_of_refusals(counter: Counter) -> None:
    before = await counter.ledger()
    _, answer = await counter.post("/lock", json.dumps({**LOCK, "token_count": 2**63 - 1}))
    after = await counter.ledger()

    assert (answer["allowed"], answer["code"]) == (False, "exceeds_quota")
    assert after["completion"].pop("refused") == before["completion"].pop("refused") + 1
    assert after == before
