"""Watches a run from its far ends: what lies on the out-queue and among the dead letters, and whether work is left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from azure.servicebus.aio import ServiceBusClient

from feedback_worker._clients import Peeker, open_peeker, origin_of
from feedback_worker._interrupt import Interrupt

INTERVAL = 0.5
QUIET = 3.0
"""Seconds for which the in-queue must hold nothing, not even a locked or scheduled message, before a run is over."""


class Watch:
    """Counts the messages of a run that have reached an end."""

    def __init__(self, sent: frozenset[str], waiting: Peeker, ends: list[Peeker]) -> None:
        self._sent = sent
        self._waiting = waiting
        self._ends = ends
        self._done: set[str] = set()

    async def until_done(
        self, progress: Callable[[int], None], check: Callable[[], None], interrupt: Interrupt
    ) -> None:
        """Return once every message has reached an end, or the in-queue has stayed empty, or at an interrupt.

        Args:
            progress: Told, again and again, how many messages have reached an end.
            check: Called as often; what it raises ends the watch.
            interrupt: The wish to end early.
        """
        loop = asyncio.get_running_loop()
        last_seen_waiting = loop.time()
        while not interrupt.asked:
            check()
            await self._look()
            progress(len(self._done))
            if self._done >= self._sent:
                return
            if await self._waiting.first() is not None:
                last_seen_waiting = loop.time()
            elif loop.time() - last_seen_waiting > QUIET:
                return
            await interrupt.sleep(INTERVAL)

    async def _look(self) -> None:
        """Take note of what has arrived since the last look."""
        for end in self._ends:
            async for message in end.new():
                self._done.add(origin_of(message))
        self._done &= self._sent


@asynccontextmanager
async def open_watch(
    client: ServiceBusClient, in_queue: str, out_queue: str, sent: frozenset[str]
) -> AsyncIterator[Watch]:
    """Open a watch over the messages with the ids in `sent`."""
    async with AsyncExitStack() as stack:
        waiting = await stack.enter_async_context(open_peeker(client, in_queue))
        answered = await stack.enter_async_context(open_peeker(client, out_queue))
        dead = await stack.enter_async_context(open_peeker(client, in_queue, dead_letters=True))
        yield Watch(sent, waiting, [answered, dead])
