"""A counter that says what the test scripts, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, settings

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]
GRANT = {"allowed": True, "request_id": "token_0a-1:rate_0a-1", "rate_request_id": "rate_0a-1"}


class ScriptedCounter:
    """Serves each call by the next step of its script, and by a plain yes when there is none left."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self._scripts: dict[str, deque[Step]] = {}
        self._changed = asyncio.Event()

    def script(self, call: str, *steps: Step | dict[str, Any] | int) -> None:
        """Add steps to a call: JSON to answer, a status to answer, or a handler."""
        self._scripts.setdefault(call, deque()).extend(_step(step) for step in steps)

    def asked(self, call: str) -> list[dict[str, Any]]:
        """Return the messages that came with a call."""
        return [message for name, message in self.calls if name == call]

    async def heard(self, call: str, times: int = 1) -> None:
        """Wait until a call has come so many times."""
        while len(self.asked(call)) < times:
            self._changed.clear()
            async with asyncio.timeout(10):
                await self._changed.wait()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer by the script."""
        call = request.path.lstrip("/")
        self.headers.append(dict(request.headers))
        self.calls.append((call, await request.json() if request.can_read_body else {}))
        self._changed.set()
        script = self._scripts.get(call)
        if script:
            return await script.popleft()(request)
        return web.json_response(GRANT if call.endswith("lock") else {"success": True, "known": True})


def _step(step: Step | dict[str, Any] | int) -> Step:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=step) if isinstance(step, int) else web.json_response(step)

    return step if callable(step) else answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Break the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def stall(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def broken() -> Step:
    return hang_up


@pytest.fixture
def stalled() -> Step:
    return stall


@pytest.fixture
async def counter(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedCounter]:
    for name in ("TOKEN_COUNTER_URL", "TOKEN_COUNTER_KEY"):
        monkeypatch.delenv(name, raising=False)
    scripted = ScriptedCounter()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.serve)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    scripted.url = str(server.make_url("")).rstrip("/")
    yield scripted
    await server.close()
