"""Standard input as a lifeline: it ends when the process that started this one is gone, however it went."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable


def on_end_of_input(stop: Callable[[], Awaitable[object]]) -> None:
    """Have the running loop call `stop` once standard input reaches its end.

    A thread reads, because a loop cannot watch a regular file or a terminal.
    """
    loop = asyncio.get_running_loop()

    def start_stopping() -> None:
        task = loop.create_task(_call(stop))
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)

    def wait_for_end() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        if not loop.is_closed():
            loop.call_soon_threadsafe(start_stopping)

    threading.Thread(target=wait_for_end, name="lifeline", daemon=True).start()


async def _call(stop: Callable[[], Awaitable[object]]) -> None:
    """Await what `stop` returns, as a coroutine of our own."""
    await stop()


_RUNNING: set[asyncio.Task[None]] = set()
"""The loop keeps only weak references to tasks."""
