"""Server-sent events: one snapshot a second to every page that is open, and never more than one on its way to each.

The snapshots are the heartbeat: a page that gets none for some seconds knows that its connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from penstock_token_client.protocol import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from ._desk import Desk
    from ._history import History

_RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a page whose connection is lost connects again."""

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
    "X-Content-Type-Options": "nosniff",
}


class Events:
    """Samples desks once a second, and streams what is new to its readers.

    Args:
        desks: The desks, by pool.
        history: Where samples are kept.
        interval: Seconds between two samples.
        most: How many readers there may be.
        patience: Seconds for which a reader may take nothing before it is dropped.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        desks: Mapping[str, Desk],
        history: History,
        *,
        interval: float = 1.0,
        most: int = 32,
        patience: float = 15.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._desks = desks
        self._history = history
        self._interval = interval
        self._free = most
        self._patience = patience
        self._wall = wall
        self._sampled = asyncio.Event()
        self._ended = False

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Take samples while the application runs."""
        sampling = asyncio.create_task(self._sample())
        yield
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling

    async def end(self, _: web.Application) -> None:
        """End every stream."""
        self._ended = True
        self._sampled.set()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve ``GET /events``, from where the reader's last event left off."""
        if self._free == 0:
            message = "as many pages as this counter serves are open: close one"
            return web.json_response({"v": VERSION, "message": message}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        self._free -= 1
        try:
            return await self._follow(request)
        finally:
            self._free += 1

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        """Write an event after each sample; a slow reader gets fewer, and one that takes nothing is dropped."""
        response = web.StreamResponse(headers=_HEADERS)
        seen = self._history.seen(request.headers.get("Last-Event-ID", ""))
        try:
            async with asyncio.timeout(self._patience):
                await response.prepare(request)
                await response.write(_RETRY)
            while not self._ended:
                sampled, event = self._sampled, self._history.event(seen)
                seen = self._history.sequence
                async with asyncio.timeout(self._patience):
                    await response.write(event)
                await sampled.wait()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _sample(self) -> None:
        """Take a sample now and after each interval, and wake the streams."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._history.add(self._wall(), [desk.status() for desk in self._desks.values()])
            sampled, self._sampled = self._sampled, asyncio.Event()
            sampled.set()
            due = max(due + self._interval, loop.time())
            await asyncio.sleep(due - loop.time())
