"""Calls of the SDK: none lasts for ever, and what it raises becomes ours.

A connection can stay open and say nothing more: then the SDK waits a minute for the outcome of a settlement, and
without end for most else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from penstock_servicebus._errors import mapped

CALL_WITHIN = 10.0
"""Seconds an answer may take before its connection counts as dead. Meanwhile no other lock of the same receiver can be
renewed, so it must be much less than half a lock."""


@asynccontextmanager
async def calling(action: str, *, wait: float = 0.0) -> AsyncIterator[None]:
    """Bound the SDK's call inside the block, which may itself wait so many seconds for something to come.

    Raises:
        ServiceBusUnavailable: Also when no answer came in time.
    """
    with mapped(action):
        async with asyncio.timeout(wait + CALL_WITHIN):
            yield
