"""One session in our keeping: what its processor may ask for, and how its owner answers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from azure.servicebus.aio import ServiceBusSession

from penstock_servicebus._calls import calling
from penstock_servicebus._errors import LockLost, ServiceBusHandlerError
from penstock_servicebus._wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class _Request:
    """What shall be done on the receiver, and the promise to whoever waits for it."""

    operation: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]


class OwnedSession:
    """A `Session` whose calls are carried out by the owner of its receiver, which is not safe for concurrent use.

    Args:
        session: The SDK's.
        wakeup: Wakes the owner.
    """

    def __init__(self, session: ServiceBusSession, wakeup: Wakeup) -> None:
        self._session = session
        self._wakeup = wakeup
        self._requests: deque[_Request] = deque()
        self._over = False

    def locked_until(self) -> datetime | None:
        """When the session's lock ends."""
        return self._session.locked_until_utc

    async def get_state(self) -> bytes | None:
        """What was last kept with the session."""
        state = await self._ask(self._session.get_state)
        return None if state is None else bytes(state)

    async def set_state(self, state: bytes | str | None) -> None:
        """Keep something with the session."""
        await self._ask(partial(self._session.set_state, state))

    async def answer(self) -> None:
        """Do what was asked for.

        Raises:
            ServiceBusUnavailable, LockLost: The session cannot be used any more; the one who asked was told, too.
        """
        while self._requests:
            request = self._requests.popleft()
            if not request.answer.done():
                await _carry_out(request)

    def close(self) -> None:
        """The session is somebody else's from now on."""
        self._over = True
        for request in self._requests:
            if not request.answer.done():
                request.answer.set_exception(_session_over())

    async def _ask(self, operation: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the operation returns
        if self._over:
            raise _session_over()
        request = _Request(operation, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._wakeup.ring()
        return await request.answer


async def _carry_out(request: _Request) -> None:
    """Do what was asked for, and tell the one who waits, unless it has gone."""
    try:
        async with calling("use a session's state"):
            answer = await request.operation()
    except ServiceBusHandlerError as error:
        if not request.answer.done():
            request.answer.set_exception(error)
        raise
    if not request.answer.done():
        request.answer.set_result(answer)


def _session_over() -> LockLost:
    return LockLost("the session is no longer held")
