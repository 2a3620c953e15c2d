"""Call again what was refused for want of quota, waiting as long as the quota says.

The loop reads facts, not types: an error is worth another try if it carries ``environment`` and not ``permanent``, as
all of Penstock's do, or an HTTP ``status_code`` of 429, as the errors of Azure's SDKs do.
"""

from __future__ import annotations

import asyncio
import functools
import random
from http import HTTPStatus
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._quota import Quota

P = ParamSpec("P")
T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_DOUBLINGS = 6
"""After so many doublings the pause is at its longest; more would only overflow."""

_LONGEST_TOLD = 120.0
"""Seconds; a full window opens after a minute and its margin, so a minute would be too little."""

_sleep = asyncio.sleep
_random = random.random
"""Waiting and chance, under names of their own so that a test can have its own."""


async def with_token_limit_retry(
    func: Callable[..., Awaitable[T]], token_client: Quota, /, *args: object, max_retries: int = 3, **kwargs: object
) -> T:
    """Await ``func(*args, **kwargs)``, and again when quota was missing.

    Before each new try it waits as long as the error says (``retry_after``), otherwise as long as the pool's status
    says (``reset_time_seconds``), but never more than two minutes; otherwise 1, 2, 4 … seconds, at most 60. It
    waits up to a tenth longer, so that those who waited together do not return together.

    Args:
        func: What to call; its errors decide.
        token_client: Whose status is asked.
        *args: Passed on.
        max_retries: How often to try again after the first time.
        **kwargs: Passed on.

    Returns:
        What ``func`` returns.

    Raises:
        ValueError: ``max_retries`` is negative.
        Exception: The last error of ``func``, or the first that trying again cannot help.
    """
    _check(max_retries)
    for attempt in range(max_retries):
        try:
            return await func(*args, **kwargs)
        except Exception as error:
            if not _may_help(error):
                raise
            pause = await _pause(error, token_client, attempt)
        await _sleep(pause)
    return await func(*args, **kwargs)


def with_token_limit_retry_decorator(
    token_client: Quota, max_retries: int = 3
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorate a coroutine function so that each call goes through `with_token_limit_retry`.

    Args:
        token_client: Whose status is asked.
        max_retries: How often each call tries again after the first time.

    Raises:
        ValueError: ``max_retries`` is negative.
    """
    _check(max_retries)

    def decorate(func: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(func)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            call = functools.partial(func, *args, **kwargs)
            return await with_token_limit_retry(call, token_client, max_retries=max_retries)

        return wrapper

    return decorate


def _may_help(error: Exception) -> bool:
    """Tell whether trying again can help."""
    if getattr(error, "permanent", False) is True:
        return False
    return (
        getattr(error, "environment", False) is True
        or getattr(error, "status_code", None) == HTTPStatus.TOO_MANY_REQUESTS
    )


async def _pause(error: Exception, token_client: Quota, attempt: int) -> float:
    """Return how long to wait before the next try, in seconds."""
    seconds = _seconds(getattr(error, "retry_after", None))
    if seconds is None:
        status = await token_client.get_status() or {}
        seconds = _seconds(status.get("reset_time_seconds"))
    if seconds is None:
        seconds = min(_FIRST_PAUSE * 2 ** min(attempt, _DOUBLINGS), _LONGEST_PAUSE)
    return min(seconds, _LONGEST_TOLD) * (1 + _random() / 10)


def _seconds(told: object) -> float | None:
    """Return a duration that was told, or None if it is none."""
    if isinstance(told, bool) or not isinstance(told, int | float) or not told >= 0:
        return None
    return told


def _check(max_retries: int) -> None:
    """Refuse a number of retries that makes no sense."""
    if max_retries < 0:
        raise ValueError("max_retries must be at least 0")
