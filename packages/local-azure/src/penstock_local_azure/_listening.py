"""An aiohttp application at an address, for as long as a block runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final

from aiohttp import web

_GRACE: Final = 0.1
"""Seconds that answers under way get at the end; a stand-in owes nobody more."""


@asynccontextmanager
async def listening(
    application: web.Application,
    host: str,
    port: int,
    ssl_context: SSLContext | None = None,
    *,
    auto_decompress: bool = True,
) -> AsyncIterator[int]:
    """Serve an application and yield the port it listens on; work on a request ends when its client is gone.

    Args:
        application: what to serve.
        host: the address to listen on.
        port: 0 takes a free one.
        ssl_context: what to speak TLS with; None: plain HTTP.
        auto_decompress: whether a body with a Content-Encoding is unpacked before it is read.

    Raises:
        OSError: the address cannot be listened on.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=_GRACE,
        handler_cancellation=True,
        auto_decompress=auto_decompress,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
