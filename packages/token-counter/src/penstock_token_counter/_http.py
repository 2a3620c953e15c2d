"""The counter's paths: JSON in, JSON out, and a refusal that says which field is wrong."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, web

from penstock_token_client.protocol import (
    DEFAULT_POOL,
    TICKET_HEADER,
    VERSION,
    LockRequest,
    ProtocolError,
    ReleaseRequest,
    ReportRequest,
    pool_path,
)

from ._desk import UnknownIdError
from ._journal import JournalPausedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from penstock_token_client.protocol import LockAnswer

    from ._desk import Desk

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LARGEST_BODY = 64 * 1024
"""Bytes; the longest message of the wire is far below."""

_ALIASES = {"embedding": "/embedding"}
"""Paths that services written against earlier counters use."""


def build_app(desks: Mapping[str, Desk]) -> web.Application:
    """Serve each pool below its own path, and `DEFAULT_POOL` also without one."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    for pool, desk in desks.items():
        for path in {f"/pools/{pool}", pool_path(pool), _ALIASES.get(pool, pool_path(pool))}:
            _add_pool(app, path, desk, desks)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(desks))
    app.router.add_route("*", "/{path:.*}", _not_found(desks))
    return app


def _add_pool(app: web.Application, path: str, desk: Desk, desks: Mapping[str, Desk]) -> None:
    """Add the four calls of one pool."""
    app.router.add_post(f"{path}/lock", _refusing(_lock(desk)))
    app.router.add_post(f"{path}/report", _refusing(_report(desk)))
    app.router.add_post(f"{path}/release", _refusing(_release(desk)))
    app.router.add_get(f"{path}/status", _status(desk, desks))


def _lock(desk: Desk) -> Handler:
    """Serve ``POST /lock``."""

    async def lock(request: web.Request) -> web.StreamResponse:
        message = LockRequest.parse(await _body(request))
        early: web.StreamResponse | None = None

        async def tell_place(ticket: str) -> None:
            """Send the headers alone; HTTP/1.0 knows no body whose length comes later."""
            nonlocal early
            if request.version >= HttpVersion11:
                early = web.StreamResponse(headers={"Content-Type": "application/json", TICKET_HEADER: ticket})
                await early.prepare(request)

        answer, given = await desk.lock(message, tell_place)
        try:
            return await _send(request, early, answer)
        except (ConnectionError, asyncio.CancelledError):
            if given is not None:
                desk.undeliverable(given)
            raise

    return lock


async def _send(request: web.Request, early: web.StreamResponse | None, answer: LockAnswer) -> web.StreamResponse:
    """Write an answer to its end: its body only, if the headers went early."""
    if early is not None:
        await early.write_eof(_encoded(answer.to_json()))
        return early
    response = _json(answer.to_json())
    await response.prepare(request)
    await response.write_eof()
    return response


def _report(desk: Desk) -> Handler:
    """Serve ``POST /report``."""

    async def report(request: web.Request) -> web.StreamResponse:
        return _json((await desk.report(ReportRequest.parse(await _body(request)))).to_json())

    return report


def _release(desk: Desk) -> Handler:
    """Serve ``POST /release``."""

    async def release(request: web.Request) -> web.StreamResponse:
        return _json((await desk.release(ReleaseRequest.parse(await _body(request)))).to_json())

    return release


def _status(desk: Desk, desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /status``, of another pool if the query names one."""

    async def status(request: web.Request) -> web.StreamResponse:
        pool = request.query.get("pool", desk.pool)
        if pool not in desks:
            return _refusal(HTTPStatus.NOT_FOUND, _unknown_pool(pool, desks))
        return _json({"v": VERSION, **desks[pool].status()})

    return status


async def _healthz(_: web.Request) -> web.StreamResponse:
    """Say that the process is alive."""
    return _json({"v": VERSION, "alive": True})


def _readyz(desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /readyz``: whether locks are answered."""

    async def readyz(_: web.Request) -> web.StreamResponse:
        ready = all(desk.ready for desk in desks.values())
        return _json({"v": VERSION, "ready": ready}, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    return readyz


def _not_found(desks: Mapping[str, Desk]) -> Handler:
    """Answer for every path and method that is not served."""

    async def not_found(request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        pool = parts[1] if parts[0] == "pools" and len(parts) > 1 else DEFAULT_POOL
        if parts[-1] in ("lock", "report", "release", "status") and pool not in desks:
            return _refusal(HTTPStatus.NOT_FOUND, _unknown_pool(pool, desks))
        return _refusal(HTTPStatus.NOT_FOUND, f"there is no {request.method} {request.path}"[:200])

    return not_found


def _refusing(handler: Handler) -> Handler:
    """Turn what a message does wrong into the answer that says so."""

    async def refusing(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProtocolError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, str(error), field=error.field)
        except UnknownIdError as error:
            return _refusal(HTTPStatus.NOT_FOUND, str(error), field="request_id")
        except JournalPausedError as error:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except web.HTTPRequestEntityTooLarge:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {_LARGEST_BODY} bytes")

    return refusing


async def _body(request: web.Request) -> object:
    """Return the decoded body."""
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise ProtocolError("body", "the body must be JSON") from None


def _json(body: Mapping[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(body=_encoded(body), status=status, content_type="application/json")


def _encoded(body: Mapping[str, Any]) -> bytes:
    """Return JSON as bytes."""
    return json.dumps(body).encode()


def _refusal(status: int, message: str, **facts: str) -> web.Response:
    """Return a response that says what is wrong."""
    return _json({"v": VERSION, "message": message, **facts}, status)


def _unknown_pool(pool: str, desks: Mapping[str, Desk]) -> str:
    """Say which pools there are."""
    return f"there is no pool {pool[:64]!r} here, only {', '.join(desks)}"
