"""A Blob stand-in with one container, a client of its own to look at what arrived, and a front that fails by script."""

import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import pytest
from aiohttp import web
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from hypothesis import HealthCheck, settings
from yarl import URL

from penstock_local_azure import Blob

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

Holdings = Callable[[], Awaitable[dict[str, str]]]


@pytest.fixture
async def blob() -> AsyncIterator[Blob]:
    async with Blob(containers=["box"]) as standin:
        yield standin


@pytest.fixture
async def far_end(blob: Blob) -> AsyncIterator[ContainerClient]:
    """The container as somebody else sees it."""
    async with BlobServiceClient.from_connection_string(blob.connection_string) as service:
        yield service.get_container_client("box")


@pytest.fixture
def holdings(far_end: ContainerClient) -> Holdings:
    """What the container holds: the SHA-256 of each blob's bytes, as downloaded, by name."""

    async def look() -> dict[str, str]:
        found: dict[str, str] = {}
        async for name in far_end.list_blob_names():
            content = await (await far_end.download_blob(name)).readall()
            found[name] = hashlib.sha256(content).hexdigest()
        return found

    return look


NOT_FORWARDED = ("Host", "Transfer-Encoding", "Server", "Date")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request: an answer, or a cut connection; before or after the stand-in did as it was asked."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "PUT"
    query: str = ""
    done_first: bool = False


class Front:
    """Stands before the stand-in and forwards every request, unless the next fault is meant for it."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._origin, self._account = blob.account_url.rsplit("/", 1)
        self._faults: deque[Fault] = deque()
        self._breakdown: Fault | None = None
        self._afterwards: deque[tuple[str, Callable[[], Awaitable[None]]]] = deque()
        self.asked: list[float] = []
        """When each request came, in seconds."""

    def fail(
        self, status: int, code: str = "", *, times: int = 1, method: str = "PUT", query: str = "", **headers: str
    ) -> None:
        """Answer the next requests of this kind with an error."""
        self._faults.extend([answering(status, code, method, query, headers)] * times)

    def cut(self, *, times: int = 1, query: str = "", done_first: bool = False) -> None:
        """Cut the connections of the next writes instead of answering."""
        self._faults.extend([Fault(query=query, done_first=done_first)] * times)

    def break_down(self, status: int, code: str = "", *, method: str = "PUT", query: str = "") -> None:
        """Answer every request of this kind with an error until `mend`."""
        self._breakdown = answering(status, code, method, query, {})

    def after(self, method: str, action: Callable[[], Awaitable[None]]) -> None:
        """Let something happen between the next request of this method and its answer."""
        self._afterwards.append((method, action))

    def mend(self) -> None:
        """Forward everything again."""
        self._breakdown = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.connection_string = self._blob.connection_string.replace(self._origin, self.address)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(time.monotonic())
        fault = self._fault_for(request)
        body = await request.read()
        if fault is None:
            return await self._forward(request, body)
        if fault.done_first:
            await self._forward(request, body)
        if fault.status is not None:
            return web.Response(status=fault.status, headers=fault.headers)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _fault_for(self, request: web.Request) -> Fault | None:
        fault = self._faults[0] if self._faults else self._breakdown
        if fault is None or request.method != fault.method or fault.query not in request.query_string:
            return None
        return self._faults.popleft() if self._faults else fault

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        url = URL(self._origin + request.raw_path, encoded=True)
        answer = await self._session.request(
            request.method,
            url,
            headers={name: value for name, value in request.headers.items() if name not in NOT_FORWARDED},
            data=body if request.method == "PUT" else None,
            skip_auto_headers=["Content-Type"],  # it is signed, and was not there
        )
        content = await answer.read()
        if self._afterwards and self._afterwards[0][0] == request.method:
            await self._afterwards.popleft()[1]()
        headers = {name: value for name, value in answer.headers.items() if name not in NOT_FORWARDED}
        return web.Response(status=answer.status, headers=headers, body=None if request.method == "HEAD" else content)


def answering(status: int, code: str, method: str, query: str, headers: Mapping[str, str]) -> Fault:
    """Answer like the service: its error code is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, headers={"x-ms-error-code": code, **named}, method=method, query=query)


@pytest.fixture
async def front(blob: Blob) -> AsyncIterator[Front]:
    async with Front(blob) as served:
        yield served
