"""Waiting for a share of a budget."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import cast

from penstock_blob_uploader._budget import Budget


class Gate:
    """An asynchronous door to a `Budget`: ``async with gate.hold(units):``."""

    def __init__(self, units: int) -> None:
        self._budget = Budget(units)

    @asynccontextmanager
    async def hold(self, units: int) -> AsyncIterator[None]:
        """Wait until ``units`` are free and hold them for the block."""
        await self._take(units)
        try:
            yield
        finally:
            self._wake(self._budget.give_back(units))

    async def _take(self, units: int) -> None:
        """Take ``units``, waiting for them if need be; a cancelled wait leaves no trace."""
        turn = asyncio.get_running_loop().create_future()
        if self._budget.ask(turn, units):
            return
        try:
            await turn
        except asyncio.CancelledError:
            self._wake(self._budget.withdraw(turn, units))
            raise

    @staticmethod
    def _wake(turns: Iterable[Hashable]) -> None:
        """Let those in whose turn has come; one cancelled in this very moment hands its share on by itself."""
        for turn in cast("Iterable[asyncio.Future[None]]", turns):
            if not turn.done():
                turn.set_result(None)
