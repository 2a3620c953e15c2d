"""What wakes a task: somebody who calls, or a time that has come."""

from __future__ import annotations

import asyncio


class Alarm:
    """Rings at once or later; a ring while nobody waits is not lost, and several are one."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        self._rung.set()

    def ring_in(self, seconds: float) -> None:
        """Ring later, instead of when it was to ring."""
        self.put_off()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self.ring)

    def put_off(self) -> None:
        """Ring no more by itself."""
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self) -> None:
        """Wait until it rings."""
        await self._rung.wait()
        self._rung.clear()
