"""The counter's paths, and who serves each."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from aiohttp import HttpVersion11, web

from penstock_token_client.protocol import (
    DEFAULT_POOL,
    TICKET_HEADER,
    VERSION,
    LockRequest,
    ReleaseRequest,
    ReportRequest,
    pool_path,
)

from ._access import Access
from ._answers import LARGEST_BODY, answer, body, encoded, refusal, refusing
from ._callers import Callers
from ._metrics import metrics
from ._openapi import openapi
from ._page import add_page
from ._store_facts import STORE_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock_token_client.protocol import LockAnswer

    from ._answers import Handler
    from ._desk import Desk

_ALIASES = {"embedding": "/embedding"}
"""Paths that services written against earlier counters use."""


class _Message(Protocol):
    """What an app sends."""

    @property
    def app_id(self) -> str:
        """Who sends it."""

    @classmethod
    def parse(cls, data: object) -> Self:
        """Read and check it."""


_M = TypeVar("_M", bound=_Message)


def build_app(desks: Mapping[str, Desk], callers: Callers | None = None) -> web.Application:
    """Serve each pool below its own path, and `DEFAULT_POOL` also without one."""
    callers = Callers(Access()) if callers is None else callers
    app = web.Application(client_max_size=LARGEST_BODY)
    for pool, desk in desks.items():
        for path in {f"/pools/{pool}", pool_path(pool), _ALIASES.get(pool, pool_path(pool))}:
            _add_pool(app.router, path, desk, desks, callers)
    app.router.add_get("/metrics", callers.reading(metrics(desks)))
    app.router.add_get("/healthz", _healthz(desks))
    app.router.add_get("/readyz", _readyz(desks))
    app.router.add_get("/openapi.json", openapi(protected=callers.protected))
    add_page(app, desks, guarded=callers.reading)
    app.router.add_route("*", "/{path:.*}", callers.reading(_not_found(desks, _methods(app.router))))
    return app


def _add_pool(router: web.UrlDispatcher, path: str, desk: Desk, desks: Mapping[str, Desk], callers: Callers) -> None:
    """Add the four calls of one pool."""
    router.add_post(f"{path}/lock", refusing(_lock(desk, callers)))
    router.add_post(f"{path}/report", refusing(_report(desk, callers)))
    router.add_post(f"{path}/release", refusing(_release(desk, callers)))
    router.add_get(f"{path}/status", callers.reading(_status(desk, desks)))


def _lock(desk: Desk, callers: Callers) -> Handler:
    """Serve ``POST /lock``."""

    async def lock(request: web.Request) -> web.StreamResponse:
        early: web.StreamResponse | None = None

        async def tell_place(ticket: str) -> None:
            """Send the headers alone; HTTP/1.0 knows no body whose length comes later."""
            nonlocal early
            if request.version >= HttpVersion11:
                early = web.StreamResponse(headers={"Content-Type": "application/json", TICKET_HEADER: ticket})
                with contextlib.suppress(ConnectionError):  # whoever has gone is forgotten as everybody is who goes
                    await early.prepare(request)

        def undeliverable() -> None:
            if given is not None:
                desk.undeliverable(given)

        said, given = await desk.lock(await _admitted(request, LockRequest, desk, callers), tell_place)
        return await _deliver(request, said, early, undeliverable)

    return lock


async def _deliver(
    request: web.Request, said: LockAnswer, early: web.StreamResponse | None, undeliverable: Callable[[], None]
) -> web.StreamResponse:
    """Write an answer, only its body if the headers went early, and tell if its caller has gone.

    That is no fault of ours, and no news for the log.
    """
    response = answer(said.to_json()) if early is None else early
    try:
        await response.prepare(request)
        await (response.write_eof() if early is None else early.write_eof(encoded(said.to_json())))
    except ConnectionError:
        undeliverable()
    except asyncio.CancelledError:
        undeliverable()
        raise
    return response


def _report(desk: Desk, callers: Callers) -> Handler:
    """Serve ``POST /report``."""

    async def report(request: web.Request) -> web.StreamResponse:
        return answer((await desk.report(await _admitted(request, ReportRequest, desk, callers))).to_json())

    return report


def _release(desk: Desk, callers: Callers) -> Handler:
    """Serve ``POST /release``."""

    async def release(request: web.Request) -> web.StreamResponse:
        return answer((await desk.release(await _admitted(request, ReleaseRequest, desk, callers))).to_json())

    return release


async def _admitted(request: web.Request, kind: type[_M], desk: Desk, callers: Callers) -> _M:
    """Return the message of a caller who may send it."""
    caller = await callers.identify(request)
    message = kind.parse(await body(request))
    callers.admit(caller, message.app_id, desk.pool)
    return message


def _status(desk: Desk, desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /status``, of another pool if the query names one."""

    async def status(request: web.Request) -> web.StreamResponse:
        pool = request.query.get("pool", desk.pool)
        if pool not in desks:
            return refusal(HTTPStatus.NOT_FOUND, _unknown_pool(pool, desks))
        return answer({"v": VERSION, **desks[pool].status()})

    return status


def _healthz(desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /healthz``: whether the process is alive, or has to be started anew."""

    async def healthz(_: web.Request) -> web.StreamResponse:
        alive = all(desk.gate.alive for desk in desks.values())
        return answer({"v": VERSION, "alive": alive}, HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE)

    return healthz


def _readyz(desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /readyz``: whether locks are answered."""

    async def readyz(_: web.Request) -> web.StreamResponse:
        ready = all(desk.ready for desk in desks.values())
        store = max((desk.gate.facts["store"] for desk in desks.values()), key=STORE_STATES.index)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return answer({"v": VERSION, "ready": ready, "store": store}, status)

    return readyz


def _methods(router: web.UrlDispatcher) -> dict[str, list[str]]:
    """Return the methods that each path serves."""
    return {resource.canonical: sorted(route.method for route in resource) for resource in router.resources()}


def _not_found(desks: Mapping[str, Desk], methods: Mapping[str, list[str]]) -> Handler:
    """Answer for every path and method that is not served."""

    async def not_found(request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in methods:
            allowed = ", ".join(methods[path])
            message = f"{path} takes no {request.method}, only {allowed}"
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, message[:200], headers={"Allow": allowed})
        parts = path.strip("/").split("/")
        pool = parts[1] if parts[0] == "pools" and len(parts) > 1 else DEFAULT_POOL
        if parts[-1] in ("lock", "report", "release", "status") and pool not in desks:
            return refusal(HTTPStatus.NOT_FOUND, _unknown_pool(pool, desks))
        return refusal(HTTPStatus.NOT_FOUND, f"there is no {request.method} {path}"[:200])

    return not_found


def _unknown_pool(pool: str, desks: Mapping[str, Desk]) -> str:
    """Say which pools there are."""
    return f"there is no pool {pool[:64]!r} here, only {', '.join(desks)}"
