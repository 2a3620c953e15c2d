"""The threads in which files are read."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_SMALL = 256 * 1024
_THREADS = 2


class ReadingThreads:
    """Runs what reads a file, off the event loop.

    Much is read in two threads of their own, because an allocator keeps for each thread what it once held; a little in
    the loop's own threads, as many of which as there are wait for a slow disk together.
    """

    def __init__(self) -> None:
        self._for_much = ThreadPoolExecutor(_THREADS, thread_name_prefix="upload-reading")

    async def run(self, size: int, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, which reads so many bytes."""
        if size <= _SMALL:
            return await asyncio.to_thread(read)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._for_much, read)

    def close(self) -> None:
        """Let the threads end with what they are reading."""
        self._for_much.shutdown(wait=False)
