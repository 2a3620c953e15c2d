"""The Service Bus of `messages.py`, in a process of its own; it prints its connection string and keeps the account.

Each line it reads, `{"from": n, "to": m}`, it answers once its queue "in" has completed m messages: with the seconds
since it had completed n, and with what is left of its messages then.
"""

import asyncio
import json
import sys
import time

from penstock_local_azure import Queue, ServiceBus

LOOK = 0.005  # s between two looks at the account


async def completed(bus: ServiceBus, count: int) -> float:
    """Return when `count` messages are completed, by the clock."""
    while bus.stats()["in"]["completed"] < count:
        await asyncio.sleep(LOOK)
    return time.perf_counter()


async def answer(bus: ServiceBus, first: int, last: int) -> dict[str, object]:
    """Wait, and tell."""
    began = await completed(bus, first)
    seconds = await completed(bus, last) - began
    queue = bus.stats()["in"]
    left = {state: queue[state] for state in ("active", "locked", "scheduled", "dead_lettered")}
    return {"seconds": seconds, "completed": queue["completed"], "left": left}


async def main() -> None:
    """Serve until standard input ends."""
    async with ServiceBus([Queue("in"), Queue("out")]) as bus:
        print(bus.connection_string, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            print(json.dumps(await answer(bus, asked["from"], asked["to"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
