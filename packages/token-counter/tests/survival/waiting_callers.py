"""Many processes, of which each waits for quota again and again; the one argument is a JSON object, see `main`.

Each grant is a line on standard output: the time, by the clock that all processes of a machine share, then when it was
asked for, and the app.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from penstock_token_client import TokenClient, _asking

if TYPE_CHECKING:
    from collections.abc import Sequence


def scale(poll: float, longest_pause: float) -> None:
    """Shorten what takes up to a minute."""
    vars(_asking)["MAX_WAIT"] = poll
    defaults = _asking.Patience.__init__.__kwdefaults__
    assert defaults is not None
    defaults["longest"] = longest_pause


async def wait_again_and_again(url: str, tokens: int, app: str) -> None:
    """Ask, say so, report."""
    async with TokenClient(app, url) as client:
        while True:
            asked = time.monotonic()
            async with client.reserve(tokens) as reservation:
                os.write(1, f"{time.monotonic()} {asked} {app}\n".encode())
                await reservation.report(prompt_tokens=tokens, completion_tokens=0)


def work(url: str, tokens: int, app: str) -> NoReturn:
    """Be one of the callers, until killed."""
    try:
        asyncio.run(wait_again_and_again(url, tokens, app))
    finally:
        os._exit(1)


def main(
    *, url: str, callers: int, tokens: int, poll: float, longest_pause: float, apps: Sequence[str] = ("crowd",)
) -> None:
    """Start the callers, which share what is imported, and stay until killed with them."""
    scale(poll, longest_pause)
    for number in range(callers):
        if os.fork() == 0:
            work(url, tokens, apps[number % len(apps)])
    os.wait()  # none of them ends by itself
    sys.exit("a caller has ended")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
