"""AMQP over websockets, on the same port as AMQP itself.

The service has two ports for the two, 5671 and 443. Here the first byte a client sends tells them apart, so that one
address serves both.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from aiohttp import WSMsgType, web

PATH: Final = "/$servicebus/websocket"
SUBPROTOCOL: Final = "AMQPWSB10"

_AMQP: Final = b"A"
"""What AMQP's protocol headers begin with, and no request for a websocket."""


class Doorway(asyncio.Protocol):
    """Waits for the first byte of a connection and hands it to whoever speaks its language.

    Args:
        amqp: Makes a protocol that speaks AMQP.
        http: Makes one that speaks HTTP.
        waiting: Where connections are kept that have not said anything yet.
    """

    def __init__(
        self,
        amqp: Callable[[], asyncio.Protocol],
        http: Callable[[], asyncio.Protocol],
        waiting: set[asyncio.Transport],
    ) -> None:
        self._amqp = amqp
        self._http = http
        self._waiting = waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._waiting.add(self._transport)

    def data_received(self, data: bytes) -> None:
        """Hand the connection over, with what it began with."""
        self._waiting.discard(self._transport)
        chosen = self._amqp() if data.startswith(_AMQP) else self._http()
        self._transport.set_protocol(chosen)
        chosen.connection_made(self._transport)
        chosen.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it went, it is gone
        """Forget the transport."""
        self._waiting.discard(self._transport)


def websocket_server(connect: Callable[[], asyncio.Protocol]) -> web.Server:
    """Return a server whose websockets are connections of a protocol.

    Args:
        connect: Makes the protocol of a connection.
    """

    async def converse(request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        if request.path.rstrip("/") != PATH:
            raise web.HTTPNotFound
        if socket.can_prepare(request).protocol is None:
            raise web.HTTPBadRequest(text=f"a websocket of the subprotocol {SUBPROTOCOL} is wanted")
        await socket.prepare(request)
        transport = _SocketTransport(socket, cast("asyncio.Transport", request.transport))
        await transport.carry(connect())
        return socket

    return web.Server(converse, access_log=None)


class _SocketTransport(asyncio.Transport):
    """Gives a websocket the face of a TCP connection: what is written leaves as binary messages, in order."""

    def __init__(self, socket: web.WebSocketResponse, below: asyncio.Transport) -> None:
        super().__init__()
        self._socket = socket
        self._below = below
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._is_closing = False

    async def carry(self, protocol: asyncio.Protocol) -> None:
        """Carry bytes between the websocket and a protocol until one of them is done."""
        writer = asyncio.create_task(self._write())
        protocol.connection_made(self)
        try:
            async for message in self._socket:
                if message.type is WSMsgType.BINARY:
                    protocol.data_received(message.data)
        finally:
            protocol.connection_lost(None)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)  # a peer that has gone reads nothing more

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if data and not self._is_closing:
            self._outbox.put_nowait(bytes(data))

    def close(self) -> None:
        """Close when everything written has been sent."""
        self._is_closing = True
        self._outbox.put_nowait(None)

    def abort(self) -> None:
        """Cut the connection."""
        self._is_closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        """Tell whether the end has begun."""
        return self._is_closing

    async def _write(self) -> None:
        while (data := await self._outbox.get()) is not None:
            await self._socket.send_bytes(data)
        await self._socket.close()
