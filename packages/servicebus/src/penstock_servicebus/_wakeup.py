"""Waiting for something to do, or for a moment, whichever comes first."""

import asyncio
import math


class Wakeup:
    """An event that remembers one ring; cheaper than `asyncio.wait_for` because it makes no task."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter, or the next one to wait."""
        self._event.set()

    async def wait(self, timeout: float = math.inf) -> None:  # noqa: ASYNC109 - the point of this class
        """Return at the next ring, or after `timeout` seconds."""
        timer = None
        if timeout < math.inf:
            timer = asyncio.get_running_loop().call_later(max(timeout, 0.0), self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._event.clear()
