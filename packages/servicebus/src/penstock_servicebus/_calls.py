"""Calls of the SDK: none lasts for ever, and what it raises becomes ours.

A connection can stay open and say nothing more: then the SDK waits a minute for the outcome of a settlement, and
without end for most else.
"""

import asyncio
from types import TracebackType

from penstock_servicebus._errors import as_ours

CALL_WITHIN = 10.0
"""Seconds an answer may take before its connection counts as dead. Meanwhile no other lock of the same receiver can be
renewed, so it must be much less than half a lock."""


class calling:  # noqa: N801 - reads as the verb it is
    """Bound the SDK's call inside the block, which may itself wait so many seconds for something to come.

    A class, because there is one for each message, and a generator takes three times as long.

    Raises:
        ServiceBusUnavailable: Also when no answer came in time.
    """

    def __init__(self, action: str, *, wait: float = 0.0) -> None:
        self._action = action
        self._timeout = asyncio.timeout(wait + CALL_WITHIN)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            error = late
        if error is not None and (ours := as_ours(self._action, error)) is not None:
            raise ours from error
