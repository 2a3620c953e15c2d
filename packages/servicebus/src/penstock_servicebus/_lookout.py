"""How many owners look for a session at once: all while there are some to be had, one while there are none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

FoundT = TypeVar("FoundT")


class Lookout:
    """Looking for a session takes a connection of its own, so an idle worker keeps one of them, not a dozen."""

    def __init__(self) -> None:
        self._plenty = False
        self._alone = asyncio.Lock()
        self._first = True

    def is_first(self) -> bool:
        """Whether nobody asked this before."""
        first, self._first = self._first, False
        return first

    async def look(self, accept: Callable[[], Awaitable[FoundT | None]]) -> FoundT | None:
        """Call `accept`, as soon as it is this owner's turn."""
        async with self._alone:
            if not self._plenty:
                return await self._try(accept)
        return await self._try(accept)

    async def _try(self, accept: Callable[[], Awaitable[FoundT | None]]) -> FoundT | None:
        found = await accept()
        self._plenty = found is not None
        return found
