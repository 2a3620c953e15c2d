"""The counter as a whole: its pools, the port it listens on, and its orderly end."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aiohttp import web

from penstock_token_client.protocol import pool_path

from ._desk import Desk
from ._http import build_app
from ._journal import Journal

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from types import TracebackType

    from penstock_token_client import Limits, Sharing

_LAST_ANSWERS = 5.0
"""Seconds for answers under way when the counter stops."""


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

    Raises:
        ValueError: There is no pool, the name of one cannot be part of a path, or ``sharing`` names an unknown one.
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
    ) -> None:
        if not pools:
            raise ValueError("pools must name at least one pool")
        for pool in pools:
            pool_path(pool)
        for pool in sharing or {}:
            if pool not in pools:
                raise ValueError(f"sharing names the pool {pool!r}, which pools does not")
        self._pools = dict(pools)
        self._sharing = dict(sharing or {})
        self._host = host
        self._port = port
        self._assume_idle = assume_idle
        self._directory = None if journal is None else Path(journal)
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
            journal = None if self._directory is None else Journal(self._directory)
            if journal is not None:
                stack.push_async_callback(journal.aclose)
            self._desks = {
                pool: Desk(
                    pool, limits, assume_idle=self._assume_idle, sharing=self._sharing.get(pool), journal=journal
                )
                for pool, limits in self._pools.items()
            }
            await self._listen(stack)
            if journal is not None:
                pools = {pool: desk.gate.pool for pool, desk in self._desks.items()}
                await journal.open(pools, assume_idle=self._assume_idle)
            self._ending = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Grant nothing more, tell those who wait to ask again, close the port, and finish the journal."""
        for desk in self._desks.values():
            desk.gate.close()
        await self._ending.aclose()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        """Open the port."""
        # A handler is cancelled when its caller disconnects: that is how a vanished caller loses its turn.
        runner = web.AppRunner(
            build_app(self._desks), handler_cancellation=True, access_log=None, shutdown_timeout=_LAST_ANSWERS
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self._host, self._port).start()
        self._port = runner.addresses[0][1]
