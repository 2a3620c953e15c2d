"""The token client, as a service that was written against its predecessor uses it, against a real server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aioresponses import aioresponses

from penstock_token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import ScriptedCounter, Step

ID = "token_0a-1:rate_0a-1"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN_COUNTER_URL", "TOKEN_COUNTER_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def client(counter: ScriptedCounter) -> AsyncIterator[TokenClient]:
    async with TokenClient("feedback", counter.url, timeout=5.0) as made:
        yield made


@pytest.fixture
async def lonely(unused_tcp_port: int) -> AsyncIterator[TokenClient]:
    """A client whose counter is not there."""
    async with TokenClient("feedback", f"http://127.0.0.1:{unused_tcp_port}") as made:
        yield made


def answers(text: str, content_type: str = "application/json") -> Step:
    """Answer with any body."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type=content_type)

    return answer


class TestTokenClientInit:
    def test_init_with_defaults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN_COUNTER_URL", "http://variable:1")

        client = TokenClient("feedback")

        assert (client.app_id, client.base_url, client.pool) == ("feedback", "http://variable:1", "completion")

    def test_init_with_custom_base_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN_COUNTER_URL", "http://variable:1")

        assert TokenClient("feedback", "http://argument:2").base_url == "http://argument:2"

    def test_init_strips_trailing_slash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN_COUNTER_URL", "http://variable:1/")

        assert TokenClient("feedback").base_url == "http://variable:1"
        assert TokenClient("feedback", "http://argument:2/below//").base_url == "http://argument:2/below"

    def test_init_with_base_url_not_set(self) -> None:
        assert TokenClient("feedback").base_url == "http://localhost:8001"

    @pytest.mark.parametrize("blank", ["", " \t"])
    def test_init_with_empty_base_url_env(self, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
        monkeypatch.setenv("TOKEN_COUNTER_URL", blank)

        assert TokenClient("feedback").base_url == "http://localhost:8001"
        assert TokenClient("feedback", blank).base_url == "http://localhost:8001"

    def test_init_with_empty_app_id(self) -> None:
        with pytest.raises(ValueError, match="app_id must not be blank"):
            TokenClient("")

    def test_init_with_none_app_id(self) -> None:
        with pytest.raises(TypeError, match="app_id must be a text, not NoneType"):
            TokenClient(None)  # type: ignore[arg-type]  # wrong on purpose

    def test_init_with_whitespace_app_id(self) -> None:
        with pytest.raises(ValueError, match="app_id must not be blank"):
            TokenClient(" \t\n")


class TestTokenClientLockTokens:
    async def test_lock_tokens_success(self, client: TokenClient, counter: ScriptedCounter) -> None:
        lock = await client.lock_tokens(1200)

        allowed, request_id, error = lock
        assert (allowed, request_id, error, lock.code) == (True, ID, None, "ok")
        (asked,) = counter.asked("lock")
        assert asked.pop("idempotency_key")
        assert asked == {"v": 1, "app_id": "feedback", "token_count": 1200}

    async def test_lock_tokens_denied(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("lock", {"allowed": False, "message": "used up", "code": "limited", "retry_after_ms": 1500})

        lock = await client.lock_tokens(1200)

        assert tuple(lock) == (False, None, "used up")
        assert (lock.code, lock.retry_after) == ("limited", 1.5)
        with pytest.raises(AttributeError, match="frozen"):
            lock.code = "ok"

    @pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
    async def test_lock_tokens_http_error(self, client: TokenClient, counter: ScriptedCounter, status: int) -> None:
        counter.script("lock", status)

        lock = await client.lock_tokens(1)

        assert tuple(lock) == (False, None, f"Client error: the token counter answered {status}")
        assert lock.code == "unavailable"

    @pytest.mark.parametrize("answer", [{}, {"allowed": None}, {"allowed": "yes", "request_id": 7}])
    async def test_lock_tokens_response_missing_fields(
        self, client: TokenClient, counter: ScriptedCounter, answer: dict[str, Any]
    ) -> None:
        counter.script("lock", answer, {"allowed": True})

        denied = await client.lock_tokens(1)
        granted = await client.lock_tokens(1)

        assert tuple(denied) == (False, None, "the token counter did not allow it")
        assert granted.request_id == counter.asked("lock")[1]["idempotency_key"]

    async def test_lock_tokens_zero_count(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert (await client.lock_tokens(0)).allowed
        assert counter.asked("lock")[0]["token_count"] == 0

    async def test_lock_tokens_negative_count(self, client: TokenClient, counter: ScriptedCounter) -> None:
        lock = await client.lock_tokens(-1)

        assert tuple(lock) == (False, None, "token_count must be a whole number from 0 to 2**63 - 1")
        assert lock.code == "invalid"
        assert counter.calls == []

    async def test_lock_tokens_invalid_json_response(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("lock", answers("no JSON"))

        allowed, request_id, error = await client.lock_tokens(1)

        assert (allowed, request_id) == (False, None)
        assert "Expecting value" in str(error)

    async def test_lock_tokens_non_json_response(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("lock", answers('{"allowed": true}', "text/plain"))

        allowed, request_id, error = await client.lock_tokens(1)

        assert (allowed, request_id) == (False, None)
        assert "unexpected mimetype" in str(error)

    async def test_lock_tokens_timeout_error(self, counter: ScriptedCounter, stalled: Step) -> None:
        counter.script("lock", stalled)
        async with TokenClient("feedback", counter.url, timeout=0.2) as client:
            lock = await client.lock_tokens(1)

        assert tuple(lock) == (False, None, "Client error: no answer within 0.2 s")
        # The answer may still have been a grant: the client withdraws what it does not know of.
        assert counter.asked("release")[0]["idempotency_key"] == counter.asked("lock")[0]["idempotency_key"]

    async def test_lock_tokens_connection_error(self, lonely: TokenClient) -> None:
        lock = await lonely.lock_tokens(1)

        assert (lock.allowed, lock.request_id, lock.code) == (False, None, "unavailable")
        assert str(lock.error).startswith("Client error: Cannot connect")

    async def test_lock_tokens_very_large_count(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("lock", {"allowed": False, "code": "exceeds_quota", "message": "too large"})

        lock = await client.lock_tokens(999_999_999)

        assert (lock.allowed, lock.error, lock.code) == (False, "too large", "exceeds_quota")
        assert counter.asked("lock")[0]["token_count"] == 999_999_999

    async def test_lock_tokens_max_int_count(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert (await client.lock_tokens(sys.maxsize)).allowed
        assert not (await client.lock_tokens(2**63)).allowed
        assert [asked["token_count"] for asked in counter.asked("lock")] == [sys.maxsize]


class TestTokenClientReportUsage:
    async def test_report_usage_success(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert await client.report_usage("token_123", 800, 150)
        assert counter.asked("report") == [
            {
                "v": 1,
                "app_id": "feedback",
                "request_id": "token_123",
                "prompt_tokens": 800,
                "completion_tokens": 150,
                "status": "ok",
            }
        ]

    async def test_report_usage_with_rate_request_id(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert await client.report_usage("token_123:rate_456", 1, 1)

        (asked,) = counter.asked("report")
        assert (asked["request_id"], asked["rate_request_id"]) == ("token_123:rate_456", "rate_456")

    async def test_report_usage_http_error(self, lonely: TokenClient) -> None:
        assert await lonely.report_usage(ID, 1, 1) is False

    async def test_report_usage_server_error(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("report", 500)

        assert await client.report_usage(ID, 1, 1) is False
        assert len(counter.asked("report")) == 1

    @pytest.mark.parametrize("request_id", ["", " ", None])
    async def test_report_usage_empty_request_id(
        self, client: TokenClient, counter: ScriptedCounter, request_id: Any
    ) -> None:
        assert await client.report_usage(request_id, 1, 1) is False
        assert counter.calls == []

    async def test_report_usage_request_id_multiple_colons(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert await client.report_usage("token_123:rate_456:extra", 1, 1)

        (asked,) = counter.asked("report")
        assert asked["request_id"] == "token_123:rate_456:extra"
        assert asked["rate_request_id"] == "rate_456:extra"

    @pytest.mark.parametrize("request_id", [":", " : ", "::"])
    async def test_report_usage_request_id_only_colon(
        self, client: TokenClient, counter: ScriptedCounter, request_id: str
    ) -> None:
        assert await client.report_usage(request_id, 1, 1) is False
        assert counter.calls == []

    async def test_report_usage_zero_tokens(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert await client.report_usage(ID, 0, 0)

        (asked,) = counter.asked("report")
        assert (asked["prompt_tokens"], asked["completion_tokens"]) == (0, 0)

    async def test_report_usage_negative_tokens(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert await client.report_usage(ID, -1, 1) is False
        assert await client.report_usage(ID, 1, -1) is False
        assert counter.calls == []


class TestTokenClientReleaseTokens:
    async def test_release_tokens_success(self, client: TokenClient, counter: ScriptedCounter) -> None:
        assert await client.release_tokens("token_123:rate_456") is True
        assert counter.asked("release") == [
            {"v": 1, "app_id": "feedback", "request_id": "token_123:rate_456", "rate_request_id": "rate_456"}
        ]

    async def test_release_tokens_http_error(
        self, client: TokenClient, lonely: TokenClient, counter: ScriptedCounter
    ) -> None:
        counter.script("release", 500)

        assert await client.release_tokens(ID) is False
        assert await lonely.release_tokens(ID) is False

    async def test_release_tokens_not_known(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("release", {"success": True, "known": False}, {"success": False})

        assert await client.release_tokens(ID) is False
        assert await client.release_tokens(ID) is False
        assert await client.release_tokens(":") is False
        assert len(counter.asked("release")) == 2


class TestTokenClientGetStatus:
    async def test_get_status_success(self, client: TokenClient, counter: ScriptedCounter) -> None:
        said = {"available_tokens": 7, "used_tokens": 3, "reset_time_seconds": 1.5}
        counter.script("status", said)

        assert await client.get_status() == said

    async def test_get_status_http_error(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("status", 503, {"available_tokens": 7})

        assert await client.get_status() is None
        assert await client.get_status() == {"available_tokens": 7}

    async def test_get_status_network_failure(self) -> None:
        # Names that do not resolve are the resolver's business, and some resolvers answer for every name.
        unresolved = aiohttp.ClientConnectorDNSError(Mock(), OSError("no such name"))
        async with TokenClient("feedback", "http://counter") as client:
            with aioresponses() as network:
                network.get("http://counter/status", exception=unresolved)

                status = await client.get_status()

        assert status is None
        assert len(network.requests) == 1

    @pytest.mark.parametrize("body", ["", "[]", "7", "null", '{"available_tokens":'])
    async def test_get_status_malformed(self, client: TokenClient, counter: ScriptedCounter, body: str) -> None:
        counter.script("status", answers(body), {})

        assert await client.get_status() is None
        assert await client.get_status() == {}


class TestTokenClientIntegration:
    async def test_full_token_lifecycle(self, client: TokenClient, counter: ScriptedCounter) -> None:
        counter.script("lock", {"allowed": True, "request_id": "token_1:rate_1"})
        counter.script("lock", {"allowed": True, "request_id": "token_2:rate_2"})

        _, first, _ = await client.lock_tokens(1200)
        _, second, _ = await client.lock_tokens(300)
        reported = await client.report_usage(str(first), 800, 150)
        released = await client.release_tokens(str(second))

        assert (reported, released) == (True, True)
        assert [(call, message.get("request_id")) for call, message in counter.calls] == [
            ("lock", None),
            ("lock", None),
            ("report", "token_1:rate_1"),
            ("release", "token_2:rate_2"),
        ]
        first_key, second_key = (asked["idempotency_key"] for asked in counter.asked("lock"))
        assert first_key != second_key


class TestTokenClient:
    async def test_init_success(self, counter: ScriptedCounter) -> None:
        async with TokenClient(app_id="test_app", base_url=counter.url) as client:
            assert counter.calls == []
            assert (await client.lock_tokens(100)).allowed

        assert counter.asked("lock")[0]["app_id"] == "test_app"
        assert "test_app" in repr(client)

    async def test_full_lifecycle(self, counter: ScriptedCounter) -> None:
        client = TokenClient("test_app", counter.url)

        _, request_id, _ = await client.lock_tokens(100)
        reported = await client.report_usage(str(request_id), 60, 40)
        await client.aclose()
        after = await client.lock_tokens(100)

        assert reported
        assert tuple(after) == (False, None, "Client error: this client was closed")
        assert [call for call, _ in counter.calls] == ["lock", "report"]
