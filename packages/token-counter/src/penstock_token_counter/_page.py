"""The live page: its files, its events, and what stands in one place for all pools."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from aiohttp import web

from penstock_token_client.protocol import VERSION

from ._events import Events
from ._history import History

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ._desk import Desk

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_page(
    app: web.Application, desks: Mapping[str, Desk], *, guarded: Callable[[Handler], Handler] = lambda handler: handler
) -> None:
    """Serve the page at ``/``, what it shows at ``/events``, and the same once at ``/pools``.

    Args:
        app: Where to serve them.
        desks: The desks, by pool.
        guarded: Makes a handler ask who calls.
    """
    events = Events(desks, History())
    app.cleanup_ctx.append(events.running)
    app.on_shutdown.append(events.end)
    app.router.add_get("/events", guarded(events.stream), allow_head=False)
    app.router.add_get("/pools", guarded(_pools(desks)))
    for file in files(__package__).joinpath("page").iterdir():
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            app.router.add_get(path, guarded(_file(file.read_bytes(), content_type)))


def _pools(desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /pools``: what ``GET /status`` says, of every pool."""

    async def pools(_: web.Request) -> web.StreamResponse:
        return web.json_response({"v": VERSION, "pools": [desk.status() for desk in desks.values()]})

    return pools


def _file(body: bytes, content_type: str) -> Handler:
    """Serve a file of the page."""

    async def file(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return file
