"""Counting beside an event loop: inline where that costs nothing worth mentioning, in a thread where it would."""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INLINE: Final = 20_000
"""Characters that are counted within a millisecond."""


async def count_off_loop(size: int, count: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Count at once, or without holding up the event loop.

    Args:
        size: How many characters there are to count. More than 20,000 are counted in a thread: tiktoken lets go of the
            interpreter meanwhile.
        count: One of this package's functions, for example.
        args: Its arguments.
        kwargs: The same.
    """
    if size <= INLINE:
        return count(*args, **kwargs)
    return await asyncio.to_thread(count, *args, **kwargs)
