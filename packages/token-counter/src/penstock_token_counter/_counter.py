"""The counter as a whole: its pools, the port it listens on, and its orderly end."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from penstock_token_client.protocol import pool_path

from ._access import Access, check_exposure
from ._callers import Callers
from ._desk import Desk
from ._entra import Tokens
from ._http import build_app
from ._journal import Journal
from ._rate import CallRate
from ._shared_gate import SharedGate
from ._sole_gate import SoleGate
from ._store import Store
from ._store_library import address, library

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from types import TracebackType

    from penstock_token_client import Limits, Sharing

    from ._pool_gate import PoolGate
    from ._store_identity import StoreCredential

_LAST_ANSWERS = 5.0
"""Seconds for answers under way when the counter stops."""

_IDLE = 120.0
"""Seconds after which a connection that says nothing is closed: more than clients and proxies keep one."""


class TokenCounter:
    """Serves the quota of pools over HTTP, from ``async with`` until its end.

    Args:
        pools: The limits of each pool, by its name.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        assume_idle: Grant from the start. Otherwise each pool starts as if its whole window were used, because nobody
            knows what was granted before, and grants nothing for one window.
        sharing: How the apps of a pool share it, by the pool's name; where none is given, all alike.
        journal: A directory of this counter's own, in which every grant is kept before it is answered. A counter that
            finds its journal there goes on where it was, whatever ended it, and ``assume_idle`` matters only for
            pools of which the journal does not know.
        store: The URL of a Valkey or Redis server or cluster, in which counters that are given the same share their
            pools.
        store_options: Further options for the connection, as the clients of `redis.asyncio` take them, such as
            ``ssl_ca_certs`` or ``credential_provider``.
        store_credential: An asynchronous Entra ID credential for the store, instead of a user and a password in its
            URL; it is not closed.
        deployments: The name of each pool's deployment, which whoever is granted quota is told.
        access: Who may use the counter; None: everybody who reaches it.
        insecure: Listen where others can reach the counter, although ``access`` asks nobody for a key.
        requests_per_second: How often one caller may ask: an app that shows its key, otherwise an address, except
            this machine's own.

    Raises:
        ValueError: There is no pool, the name of one cannot be part of a path, an option names an unknown one, or
            others could reach a counter that asks nobody for a key, the store's URL is none, or there is a journal too.
        ImportError: ``access`` accepts tokens of Entra ID, or a ``store`` is given, and the extra ``entra`` or
            ``redis`` is not installed.
        OSError: On entering, when the address is not to be had.
        JournalError: On entering, when the journal cannot be used: another process has it, it cannot be written, or
            another version of this counter wrote it.
    """

    def __init__(
        self,
        pools: Mapping[str, Limits],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        assume_idle: bool = False,
        sharing: Mapping[str, Sharing] | None = None,
        journal: str | os.PathLike[str] | None = None,
        store: str | None = None,
        store_options: Mapping[str, Any] | None = None,
        store_credential: StoreCredential | None = None,
        deployments: Mapping[str, str] | None = None,
        access: Access | None = None,
        insecure: bool = False,
        requests_per_second: float = 1000.0,
    ) -> None:
        if not pools:
            raise ValueError("pools must name at least one pool")
        for pool in pools:
            pool_path(pool)
        for option, named in (("sharing", sharing), ("deployments", deployments)):
            for pool in named or {}:
                if pool not in pools:
                    raise ValueError(f"{option} names the pool {pool!r}, which pools does not")
        if journal is not None and store is not None:
            raise ValueError("journal and store exclude each other: what a store keeps needs no journal")
        if store is not None:
            address(store)
            library()
        self._access = Access() if access is None else access
        check_exposure(host, self._access, insecure=insecure)
        self._rate = CallRate(requests_per_second)
        self._tokens = None if self._access.entra is None else Tokens(self._access.entra, self._access)
        self._pools = dict(pools)
        self._sharing = dict(sharing or {})
        self._deployments = dict(deployments or {})
        self._host = host
        self._port = port
        self._assume_idle = assume_idle
        self._directory = None if journal is None else Path(journal)
        self._store_url = store
        self._store_options = dict(store_options or {})
        self._store_credential = store_credential
        self._desks: dict[str, Desk] = {}
        self._ending = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        """The address to give to clients."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        """Listen, and take up what the journal knows."""
        async with contextlib.AsyncExitStack() as stack:
            if self._store_url is not None:
                await self._open_shared(self._store_url, stack)
            else:
                await self._open_sole(stack)
            for desk in self._desks.values():
                desk.opened()
            self._ending = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Grant nothing more, tell those who wait to ask again, close the port, and finish the journal."""
        for desk in self._desks.values():
            desk.gate.close()
        await self._ending.aclose()

    async def _open_sole(self, stack: contextlib.AsyncExitStack) -> None:
        """Serve pools that this process has to itself."""
        journal = None if self._directory is None else Journal(self._directory)
        if journal is not None:
            stack.push_async_callback(journal.aclose)
        idle = self._assume_idle
        for pool, limits in self._pools.items():
            gate = SoleGate(pool, limits, assume_idle=idle, sharing=self._sharing.get(pool), journal=journal)
            self._desks[pool] = self._desk(pool, gate)
        await self._listen(stack)
        if journal is not None:
            await journal.open({pool: desk.gate.pool for pool, desk in self._desks.items()}, assume_idle=idle)

    async def _open_shared(self, url: str, stack: contextlib.AsyncExitStack) -> None:
        """Serve pools that are shared with whoever is given the same store."""
        name, credential = secrets.token_hex(8), self._store_credential
        store = Store(url, counter=name, options=self._store_options, credential=credential)
        stack.push_async_callback(store.aclose)
        gates = {}
        for pool, limits in self._pools.items():
            gates[pool] = SharedGate(
                pool, limits, store, assume_idle=self._assume_idle, sharing=self._sharing.get(pool)
            )
            stack.push_async_callback(gates[pool].aclose)
            self._desks[pool] = self._desk(pool, gates[pool])
        await self._listen(stack)
        for gate in gates.values():
            gate.start()
        store.listen({pool: gate.wake for pool, gate in gates.items()})

    def _desk(self, pool: str, gate: PoolGate) -> Desk:
        """Return the desk of a pool."""
        return Desk(pool, gate, deployment=self._deployments.get(pool))

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        """Open the port."""
        if self._tokens is not None:
            stack.push_async_callback(self._tokens.aclose)
        callers = Callers(self._access, tokens=self._tokens, rate=self._rate)
        # A handler is cancelled when its caller disconnects: that is how a vanished caller loses its turn.
        runner = web.AppRunner(
            build_app(self._desks, callers),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_LAST_ANSWERS,
            keepalive_timeout=_IDLE,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self._host, self._port).start()
        self._port = runner.addresses[0][1]
