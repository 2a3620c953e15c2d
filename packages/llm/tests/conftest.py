"""An endpoint that answers as a test scripts it, and a quota that remembers what was reserved and reported."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, settings

from penstock_llm import AzureOpenAIService
from penstock_local_azure import Deployment, OpenAI
from penstock_token_client import CallStatus, LocalQuota, Reservation

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    id: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class ScriptedEndpoint:
    """Plays one reply per request, in the order in which a test asked for them."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.arrived = asyncio.Event()
        self._script: list[Reply] = []
        application = web.Application()
        application.router.add_post("/{path:.*}", self._serve)
        self.server = TestServer(application, host="127.0.0.1")

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    @property
    def ids(self) -> list[str]:
        return [seen.id for seen in self.requests]

    def says(
        self,
        content: str | None,
        *,
        finish_reason: str = "stop",
        refusal: str | None = None,
        usage: tuple[int, int] | None = (20, 10),
        headers: Mapping[str, str] | None = None,
        **choice: object,
    ) -> None:
        """Answer with a completion."""
        message = {"role": "assistant", "content": content, "refusal": refusal}
        body: dict[str, Any] = {"choices": [{"message": message, "finish_reason": finish_reason, **choice}]}
        if usage is not None:
            body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        self.sends(200, json.dumps(body), headers=headers)

    def fails(
        self, status: int, *, code: str = "oops", headers: Mapping[str, str] | None = None, **error: object
    ) -> None:
        """Answer with an error in Azure's form."""
        body = {"error": {"code": code, "message": "It did not work.", **error}}
        self.sends(status, json.dumps(body), headers=headers)

    def sends(self, status: int, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Answer with any body."""

        async def reply(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text, content_type="application/json", headers=headers)

        self._script.append(reply)

    def streams(self, *events: object, then: Literal["ends", "hangs", "cuts"] = "ends") -> None:
        """Answer with a stream of events: text is sent as it is, anything else as an event's JSON."""

        async def reply(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for event in events:
                text = event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n"
                await response.write(text.encode())
            if then == "hangs":
                await asyncio.Event().wait()
            if then == "cuts":
                assert request.transport is not None
                request.transport.close()
            return response

        self._script.append(reply)

    def hangs(self) -> None:
        """Never answer."""

        async def reply(_: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        self._script.append(reply)

    def hangs_up(self) -> None:
        """Close the connection instead of answering."""

        async def reply(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        self._script.append(reply)

    def cuts(self) -> None:
        """Close the connection in the middle of an answer."""

        async def reply(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"content-length": "100"})
            await response.prepare(request)
            await response.write(b"{")
            assert request.transport is not None
            request.transport.close()
            return response

        self._script.append(reply)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(
            Seen(request.headers.get("x-ms-client-request-id", ""), request.path_qs, request.headers.copy(), body)
        )
        self.arrived.set()
        return await self._script.pop(0)(request)


@dataclass
class Recorded:
    """One reservation: what was asked, and what was told afterwards."""

    inner: Reservation
    reserved: int
    max_tokens: int
    deadline: float | None
    granted_at: float
    reports: list[dict[str, Any]] = field(default_factory=list)
    released: bool = False
    obtained_at: float = field(default_factory=time.monotonic)
    left_at: float | None = None

    @property
    def request_id(self) -> str:
        return self.inner.request_id

    @property
    def waited(self) -> float:
        return self.inner.waited

    @property
    def suggested_max_tokens(self) -> int | None:
        return self.inner.suggested_max_tokens

    async def report(
        self,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        headers: Mapping[str, str] | None = None,
        status: CallStatus = "ok",
    ) -> bool:
        self.reports.append(
            {"usage": (prompt_tokens, completion_tokens), "status": status, "headers": dict(headers or {})}
        )
        return await self.inner.report(
            prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, headers=headers, status=status
        )

    async def release(self) -> bool:
        self.released = True
        return await self.inner.release()


class RecordingQuota(LocalQuota):
    """A local quota that remembers every reservation."""

    def __init__(
        self, *, tpm: int = 1_000_000, rpm: int = 60_000, headroom: float = 0.02, window: float = 60.0
    ) -> None:
        super().__init__(tpm=tpm, rpm=rpm, headroom=headroom, window=window)
        self.reservations: list[Recorded] = []

    @property
    def ids(self) -> list[str]:
        return [reservation.request_id for reservation in self.reservations]

    @property
    def statuses(self) -> list[str]:
        return [report["status"] for reservation in self.reservations for report in reservation.reports]

    async def charged(self) -> int:
        """Tokens charged in the window."""
        status = await self.get_status()
        assert status is not None
        return int(status["used_tokens"]) + int(status["locked_tokens"])

    @asynccontextmanager
    async def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> AsyncIterator[Reservation]:
        async with super().reserve(
            token_count, max_tokens=max_tokens, requests=requests, deadline=deadline
        ) as reservation:
            grant = self._gate.pool.ledger.named(reservation.request_id, time.monotonic())
            assert grant is not None
            recorded = Recorded(reservation, token_count, max_tokens, deadline, grant.at)
            self.reservations.append(recorded)
            try:
                yield recorded
            finally:
                recorded.left_at = time.monotonic()


_forbidding = False


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every way to a network but this machine's own."""
    if not _forbidding or event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    named = host.decode() if isinstance(host, bytes) else str(host)
    if named not in ("localhost", "None") and not named.startswith(("127.", "::1", "/", "\0")):
        raise AssertionError(f"a test reached for {named}")


sys.addaudithook(_forbid)


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """Forbid sockets to anything but this machine while a test of this package runs."""
    global _forbidding  # noqa: PLW0603  a hook, once added, stays
    _forbidding = True
    yield
    _forbidding = False


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's environment says must not reach a test."""
    names = ("ENDPOINT", "DEPLOYMENT_NAME", "MODEL", "API_VERSION", "API_KEY", "SCOPE")
    for name in (*(f"AZURE_OPENAI_{name}" for name in names), "TOKEN_COUNTER_URL", "TOKEN_COUNTER_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedEndpoint]:
    scripted = ScriptedEndpoint()
    await scripted.server.start_server(shutdown_timeout=0.0)
    yield scripted
    await scripted.server.close()


@pytest.fixture
async def standin() -> AsyncIterator[OpenAI]:
    """An endpoint that judges exactly and answers at once."""
    names = ("gpt-4o", "gpt-4o-eu", "text-embedding-3-small")
    deployments = [Deployment(name, tpm=1_000_000, rpm=60_000) for name in names]
    async with OpenAI(deployments, judge="exact", seed=7, latency=0.0) as running:
        yield running


@pytest.fixture
def quota() -> RecordingQuota:
    return RecordingQuota()


@pytest.fixture
async def service(endpoint: ScriptedEndpoint, quota: RecordingQuota) -> AsyncIterator[AzureOpenAIService]:
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=endpoint.url, api_key="secret") as made:
        yield made
