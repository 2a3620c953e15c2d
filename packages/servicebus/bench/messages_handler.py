"""Ours in `messages.py`: a handler, as a user writes it."""

import asyncio
import os
import sys
import time

from penstock_servicebus import AsyncServiceBusHandler

KIND = sys.argv[1]
WORK_SECONDS = 0.05


async def nothing(_message: str) -> None:
    """Work that takes no time and has no result."""


async def shout(message: str) -> str:
    """Work that takes no time, and its result."""
    return message.upper()


async def wait(_message: str) -> None:
    """Work that waits for somebody else, as for a model."""
    await asyncio.sleep(WORK_SECONDS)


async def pick_up(message: str) -> str:
    """Tell how many seconds ago a message was sent."""
    return str(time.monotonic() - float(message))


async def main() -> None:
    """Work until killed."""
    processor, slots = {"none": (nothing, 50), "results": (shout, 50), "work": (wait, 10), "idle": (pick_up, 10)}[KIND]
    bus = os.environ["SERVICE_BUS_CONNECTION_STRING"]
    handler = AsyncServiceBusHandler(processor, "in", "out", connection_string=bus, max_concurrency=slots)
    async with handler:
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
