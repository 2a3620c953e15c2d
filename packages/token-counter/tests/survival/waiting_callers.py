"""Many processes, of which each waits for quota again and again; the one argument is a JSON object, see `main`.

Each grant is a line of JSON on standard output, with the caller's own account of its wait (`Wait`), in times of the
clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NoReturn

from penstock_token_client import TokenClient, _asking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock_token_client._asking import Asking
    from penstock_token_client.protocol import LockAnswer


@dataclass
class Wait:
    """What a caller knows of its wait.

    Attributes:
        caller: Its number.
        app: Its app.
        asked: When it asked.
        told: When it was told its place, or granted at once.
        breaks: From when to when it had no poll of which it knew that it stands in the line.
        at: When it was granted.
        lasts: For how many seconds the grant's charge still counted then, as the counter said.
    """

    caller: int
    app: str
    asked: float
    told: float | None = None
    breaks: list[tuple[float, float]] = field(default_factory=list)
    at: float = 0.0
    lasts: float = 0.0
    left: float | None = None

    def stand(self, now: float) -> None:
        """Note that it knows that it stands in the line, or has a grant."""
        if self.told is None:
            self.told = now
        elif self.left is not None:
            self.breaks.append((self.left, now))
        self.left = None

    def leave(self, now: float) -> None:
        """Note that a poll is over."""
        if self.told is not None and self.left is None:
            self.left = now


def keep_account(wait: list[Wait]) -> None:
    """Have the client note how its polls go, in the one wait that there is at a time."""
    keep_place, poll = _asking.Asking._keep_place, _asking.Asking._poll

    def note_place(asking: Asking, ticket: str | None) -> None:
        keep_place(asking, ticket)
        if ticket:
            wait[0].stand(time.monotonic())

    async def note_end(asking: Asking) -> tuple[LockAnswer, float]:
        granted = False
        try:
            answer, pause = await poll(asking)
            granted = answer.allowed
            wait[0].lasts = (answer.expires_at or 0.0) - time.time()
        finally:
            if not granted:
                wait[0].leave(time.monotonic())
        return answer, pause

    vars(_asking)["Asking"]._keep_place = note_place
    vars(_asking)["Asking"]._poll = note_end


def scale(poll: float, longest_pause: float) -> None:
    """Shorten what takes up to a minute."""
    vars(_asking)["MAX_WAIT"] = poll
    defaults = _asking.Patience.__init__.__kwdefaults__
    assert defaults is not None
    defaults["longest"] = longest_pause


async def wait_again_and_again(url: str, tokens: int, app: str, number: int) -> None:
    """Ask, say so, report."""
    waits = [Wait(number, app, 0.0)]
    keep_account(waits)
    async with TokenClient(app, url) as client:
        while True:
            wait = waits[0] = Wait(number, app, time.monotonic())
            async with client.reserve(tokens) as reservation:
                wait.at = time.monotonic()
                wait.stand(wait.at)
                os.write(1, f"{json.dumps(asdict(wait))}\n".encode())
                await reservation.report(prompt_tokens=tokens, completion_tokens=0)


def work(url: str, tokens: int, app: str, number: int) -> NoReturn:
    """Be one of the callers, until killed."""
    try:
        asyncio.run(wait_again_and_again(url, tokens, app, number))
    finally:
        os._exit(1)


def main(
    *, url: str, callers: int, tokens: int, poll: float, longest_pause: float, apps: Sequence[str] = ("crowd",)
) -> None:
    """Start the callers, which share what is imported, and stay until killed with them."""
    scale(poll, longest_pause)
    for number in range(callers):
        if os.fork() == 0:
            work(url, tokens, apps[number % len(apps)], number)
    os.wait()  # none of them ends by itself
    sys.exit("a caller has ended")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
