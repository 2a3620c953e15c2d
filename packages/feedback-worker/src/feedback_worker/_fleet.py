"""The processes of a run: some are started again when they die, the others end the run with them."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from feedback_worker._child import Child
from feedback_worker._errors import EXIT_USAGE, RunError, UsageError

RESTART_DELAY = 0.2
MAX_RESTART_DELAY = 5.0
MAX_QUICK_DEATHS = 5
QUICK = 2.0
"""A process that ends within this many seconds, and not by a kill, has died quickly: it will not get better."""

Starter = Callable[[], Awaitable[Child]]


class Fleet:
    """Processes that live and end together."""

    def __init__(self) -> None:
        self._children: dict[asyncio.Task[None], Child] = {}

    def own(self, child: Child) -> None:
        """Take over a process that the run cannot do without: its death is the run's."""
        self._children[asyncio.create_task(_mourn(child))] = child

    async def keep(self, start: Starter) -> Child:
        """Start a process, start it again whenever it dies, and return the first one."""
        child = await start()
        task = asyncio.create_task(self._keep(start, child))
        self._children[task] = child
        return child

    def check(self) -> None:
        """Raise what ended a process for good; return if all is well."""
        for task in self._children:
            if task.done():
                task.result()

    async def stop(self, within: float) -> None:
        """End every process, all at once, and kill what is left after `within` seconds; safe to call again."""
        children, self._children = self._children, {}
        for task in children:
            task.cancel()
        await asyncio.gather(*(child.stop(within) for child in children.values()))
        for task in children:
            with suppress(asyncio.CancelledError, RunError, UsageError):
                await task

    async def _keep(self, start: Starter, child: Child) -> None:
        """Wait for deaths and start again, with a growing delay while the process dies quickly."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        quick_deaths = 0
        while True:
            started = loop.time()
            status = await child.wait()
            if status == EXIT_USAGE:
                raise UsageError(f"{child.name} does not start, for the reason it gives above.")
            by_itself = status != -signal.SIGKILL
            quick_deaths = quick_deaths + 1 if by_itself and loop.time() - started < QUICK else 0
            if quick_deaths >= MAX_QUICK_DEATHS:
                raise RunError(f"{child.name} ends as soon as it starts, with status {status}; see its words above.")
            await asyncio.sleep(min(RESTART_DELAY * 2**quick_deaths, MAX_RESTART_DELAY))
            child = self._children[task] = await start()


async def _mourn(child: Child) -> None:
    """Wait for the death of a process, and say so."""
    raise RunError(f"{child.name} ended with status {await child.wait()}; the run cannot go on without it.")
