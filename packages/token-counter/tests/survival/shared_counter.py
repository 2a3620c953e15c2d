"""A counter that shares its pool, as a process that a test can kill; its one argument is a JSON object, see `main`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from penstock_token_client import Limits, Sharing
from penstock_token_counter import TokenCounter


async def main(*, limits: dict[str, Any], store: str, sharing: dict[str, Any], port: int = 0) -> None:
    """Serve one pool until killed, or in good order until terminated."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stop.set)
    pools = {"completion": Limits(**limits)}
    shares = {"completion": Sharing(**sharing)}
    async with TokenCounter(pools, port=port, assume_idle=True, sharing=shares, store=store) as counter:
        os.write(1, f"{counter.url}\n".encode())
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
