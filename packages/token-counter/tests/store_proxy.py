"""Stands between counters and their store: hands everything on, late if it is told to, and to another server later."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from valkey_cluster import Node
    from valkey_process import ValkeyProcess


class StoreProxy:
    """Listens on a free port of 127.0.0.1.

    Args:
        target: The server it leads to.
        tls: Speaks TLS to its callers, as this says.

    Attributes:
        target: Where new connections lead.
        port: Where it listens.
        delay: Seconds by which answers are late.
    """

    def __init__(self, target: ValkeyProcess | Node, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self.url = ""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'redis' if self._tls is None else 'rediss'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def lead_to(self, target: ValkeyProcess) -> None:
        """Lead to another server from now on."""
        self.target = target
        await self.cut()

    async def cut(self) -> None:
        """Cut every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            from_server, to_server = await asyncio.open_unix_connection(self.target.socket)
            try:
                both = [self._copy(reader, to_server, late=False), self._copy(from_server, writer, late=True)]
                ways = [asyncio.ensure_future(way) for way in both]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.wait(ways)
            finally:
                to_server.transport.abort()
        writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if late and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
