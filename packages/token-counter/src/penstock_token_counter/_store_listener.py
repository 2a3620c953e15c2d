"""Hears what the counters that share a store tell each other: that something was decided."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WATCH = 1.0
"""Seconds of silence after which to see whether the server is still there, and between two tries to listen."""


class StoreListener:
    """Listens on a connection of its own.

    Args:
        client: The library's, for one server or for a cluster.
        errors: What it raises.
        counter: This counter's name, to which its own changes are no news.
        is_cluster: Whether it is a cluster, in which every node hears what is published at any.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - the library's
        errors: tuple[type[Exception], ...],
        *,
        counter: str,
        is_cluster: bool,
    ) -> None:
        self._client = client
        self._errors = errors
        self._counter = counter.encode()
        self._is_cluster = is_cluster
        self._closing = False

    def close(self) -> None:
        """End soon, also if the library turns a cancellation into an error of its own."""
        self._closing = True

    async def listen(self, wake: Mapping[str, Callable[[], None]]) -> None:
        """Listen to channels, again and again; everything is right without it, and only later."""
        while not self._closing:
            with contextlib.suppress(*self._errors):
                async with await self._subscription() as subscription:
                    await subscription.subscribe(*wake)
                    await self._hear(subscription, wake)
            for call in wake.values():  # so that those who have nothing to do notice, too
                call()
            await asyncio.sleep(_WATCH)

    async def _subscription(self) -> Any:  # noqa: ANN401 - one of two kinds
        """Return a new subscription."""
        await self._client.initialize()
        where = {"node": self._client.get_random_primary_node()} if self._is_cluster else {}
        return self._client.pubsub(ignore_subscribe_messages=True, **where)

    async def _hear(self, subscription: Any, wake: Mapping[str, Callable[[], None]]) -> None:  # noqa: ANN401
        """Wake whoever something is published for, and see in times of silence whether the server is still there."""
        while not self._closing:
            message = await subscription.get_message(timeout=_WATCH)
            if message is None:
                await self._client.ping()
            elif message["data"] != self._counter:
                wake[message["channel"].decode()]()
