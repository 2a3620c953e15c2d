"""A counter that shares its pool, as a process that a test can kill; its one argument is a JSON object, see `main`."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from typing import Any

from penstock_token_client import Limits, Sharing, _places
from penstock_token_client._places import Places, Rank
from penstock_token_counter import TokenCounter


def forget_who_came_first() -> None:
    """Plant the fault that a judge must find: who comes is put anywhere among those who came in the last seconds."""
    next_rank = Places._next_rank

    def any_rank(places: Places, now: float) -> Rank:
        milliseconds, count, instance = next_rank(places, now)
        return max(0, milliseconds - random.randrange(20_000)), count, instance

    vars(_places)["Places"]._next_rank = any_rank


async def main(
    *, limits: dict[str, Any], store: str, sharing: dict[str, Any], port: int = 0, faulty: bool = False
) -> None:
    """Serve one pool until killed, or in good order until terminated."""
    if faulty:
        forget_who_came_first()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stop.set)
    pools = {"completion": Limits(**limits)}
    shares = {"completion": Sharing(**sharing)}
    async with TokenCounter(pools, port=port, assume_idle=True, sharing=shares, store=store) as counter:
        os.write(1, f"{counter.url}\n".encode())
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
