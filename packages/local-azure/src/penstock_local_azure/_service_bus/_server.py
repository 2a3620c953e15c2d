"""The socket's side: a TCP server whose connections are engines with a transport."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Self, cast

from penstock_local_azure._guard import Protection

from ._authorization import Grants
from ._clock import Clock
from ._connection import Connection
from ._declarations import Queue, Topic
from ._faults import Faults
from ._frames import EMPTY
from ._namespace import Namespace
from ._types import Value
from ._websocket import Doorway, websocket_server

if TYPE_CHECKING:
    from aiohttp import web

_KEY_NAME = "RootManageSharedAccessKey"
_KEY = "local"
"""No secret: where keys are accepted, any will do."""
_GRACE = 0.1
"""Seconds that websockets get to end by themselves."""


class ServiceBus:
    """A local Service Bus namespace, as an async context manager.

    The unmodified SDK talks to it through `connection_string`, AMQP 1.0 over plain TCP on loopback, or over TLS by
    `endpoint` as its `custom_endpoint_address`. The same port takes websockets.

    Args:
        entities: What the namespace contains: `Queue`s, `Topic`s, or names for queues with the service's defaults.
            Anything else is refused as not found, as the service does.
        host: The address to listen on.
        port: The port to listen on; 0: one that is free.
        protection: TLS and the check of tokens; None: plain, and everybody is let in.
        clock: A steady clock in seconds: measures locks, schedules and the duplicate detection window.
        wall_clock: Seconds since the epoch: what messages are stamped with.

    Raises:
        ValueError: if two entities have the same path.
        OSError: on entering, if the port is in use.
    """

    def __init__(
        self,
        entities: Iterable[Queue | Topic | str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        protection: Protection | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.entities = tuple(Queue(entity) if isinstance(entity, str) else entity for entity in entities)
        self._namespace = Namespace(self.entities, Clock(clock, wall_clock))
        self._host = host
        self._port = port
        self._ssl_context = protection.ssl_context if protection else None
        self._grants = partial(Grants, protection.guard if protection else None, wall_clock)
        self._server: asyncio.Server | None = None
        self._websockets: web.Server | None = None
        self._waiting: set[asyncio.Transport] = set()
        self._connections: set[_Protocol] = set()
        self.faults = Faults()
        """What goes wrong on the wire, and the account of it."""

    @property
    def port(self) -> int:
        """The port listened on; 0 before start if a free one was asked for."""
        return self._port

    @property
    def endpoint(self) -> str:
        """The namespace as a URL: what to give as `custom_endpoint_address` when it is served over TLS."""
        return f"sb://{self._host}:{self._port}"

    @property
    def connection_string(self) -> str:
        """What to give to `ServiceBusClient.from_connection_string`; over TLS, `endpoint` must be given beside it."""
        access = f"Endpoint={self.endpoint};SharedAccessKeyName={_KEY_NAME};SharedAccessKey={_KEY}"
        return access if self._ssl_context else f"{access};UseDevelopmentEmulator=true"

    def stats(self) -> dict[str, dict[str, Value]]:
        """Return the namespace's own accounts by the paths of queues, subscriptions and topics.

        `active`, `locked`, `deferred`, `scheduled` and `dead_lettered` count what is there now; `enqueued`, `completed`
        and `expired` (dropped, because nobody received it in time) all messages so far; `suppressed` lists the ids of
        the messages that duplicate detection dropped. A topic has only `enqueued`, `scheduled` and `suppressed`.
        """
        return self._namespace.stats()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._websockets = websocket_server(self._connect)
        doorway = partial(Doorway, self._connect, self._websockets, self._waiting)
        self._server = await loop.create_server(doorway, self._host, self._port, ssl=self._ssl_context)
        self._namespace.open(loop)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is None or self._websockets is None:
            return
        self._server.close()
        for transport in list(self._waiting):
            transport.abort()
        for connection in list(self._connections):
            connection.abort()
        await self._websockets.shutdown(_GRACE)
        await self._server.wait_closed()
        self._namespace.close()

    def _connect(self) -> "_Protocol":
        return _Protocol(self._namespace, self._connections, self._grants(), self.faults)


class _Protocol(asyncio.Protocol):
    """Carries bytes between a transport and an engine; writes once per turn of the event loop."""

    def __init__(self, namespace: Namespace, connections: "set[_Protocol]", grants: Grants, faults: Faults) -> None:
        self._engine = Connection(namespace, self._flush_soon, grants, faults)
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._hold: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio sets TCP_NODELAY on it by itself."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the engine."""
        self._engine.receive(data)
        if self._engine.closed:
            self._flush()
        elif self._engine.idle_timeout is not None and self._heartbeat is None:
            self._beat()
        self._watch_expiry()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it went, it is gone
        """Tell the engine."""
        self._engine.lost()
        self._connections.discard(self)
        for timer in (self._heartbeat, self._expiry, self._hold):
            if timer is not None:
                timer.cancel()

    def _flush_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing() or self._is_held_back():
            return
        self._transport.write(self._engine.take_output())
        if self._engine.closed:
            self._transport.close()

    def _is_held_back(self) -> bool:
        """Whether the fault script wants the output to be late."""
        if self._hold is None and (delay := self._engine.line.take_delay()):
            self._hold = asyncio.get_running_loop().call_later(delay, self._release)
        return self._hold is not None

    def _release(self) -> None:
        self._hold = None
        self._flush()

    def _beat(self) -> None:
        """Send empty frames often enough for the peer's idle timeout."""
        if self._transport is not None and self._engine.idle_timeout is not None:
            if not self._engine.line.is_stalled:
                self._transport.write(EMPTY)
            half = self._engine.idle_timeout / 2
            self._heartbeat = asyncio.get_running_loop().call_later(half, self._beat)

    def _watch_expiry(self) -> None:
        """Have links detached when the next token expires."""
        if self._expiry is not None:
            self._expiry.cancel()
        left = self._engine.grants.seconds_left()
        loop = asyncio.get_running_loop()
        self._expiry = None if left is None else loop.call_later(max(0.0, left), self._on_expiry)

    def _on_expiry(self) -> None:
        self._engine.expire_tokens()
        self._watch_expiry()
