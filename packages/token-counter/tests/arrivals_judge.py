"""A judge with an account of its own: what arrived, and the most of it within any window."""

from __future__ import annotations

import asyncio
import time


class Judge:
    """Counts what arrives, as the model's endpoint would, and tells when something does.

    Args:
        tokens: Tokens of every request.
        window: Seconds over which they are counted.
    """

    def __init__(self, tokens: int, window: float) -> None:
        self.arrivals: list[float] = []
        self._tokens = tokens
        self._window = window
        self._arrived = asyncio.Event()

    def arrive(self) -> None:
        self.arrivals.append(time.monotonic())
        self._arrived.set()

    async def see(self, requests: int) -> None:
        """Wait until so many more have arrived."""
        expected = len(self.arrivals) + requests
        async with asyncio.timeout(60):
            while len(self.arrivals) < expected:
                self._arrived.clear()
                await self._arrived.wait()

    def most_tokens(self) -> int:
        """Return the most tokens that arrived within any window, so for any phase."""
        starts = self.arrivals
        return self._tokens * max(sum(start <= at < start + self._window for at in starts) for start in starts)
