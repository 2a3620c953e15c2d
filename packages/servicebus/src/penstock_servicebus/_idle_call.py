"""A call that waits for something to come, and that somebody else may end."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class IdleCall:
    """At most one call at a time."""

    def __init__(self) -> None:
        self._call: asyncio.Future[Any] | None = None

    def interrupt(self) -> None:
        """End the call that is going on, if there is one."""
        if self._call is not None:
            self._call.cancel()

    async def wait_for(self, call: Awaitable[T]) -> T | None:
        """What the call brings; None if it was interrupted."""
        self._call = made = asyncio.ensure_future(call)
        try:
            await asyncio.wait([made])
            return None if made.cancelled() else made.result()
        finally:
            made.cancel()
            self._call = None
