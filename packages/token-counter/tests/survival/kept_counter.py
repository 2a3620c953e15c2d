"""A counter with a journal, as a process that a test can kill; its one argument is a JSON object, see `main`.

It says on standard output when it replays its journal, when it rewrites it, and at which address it listens.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from penstock_token_client import Limits, Sharing
from penstock_token_counter import TokenCounter, _journal, _journal_file
from penstock_token_counter._journal_file import JournalFile

if TYPE_CHECKING:
    from collections.abc import Callable


def say(what: str) -> None:
    os.write(1, f"{what}\n".encode())


def slow_down_the_disk(seconds: float) -> None:
    """Make every write take as long as on a slow disk, so that a kill finds decisions that are not durable yet."""
    write_all = _journal_file._write_all

    def slowly(file: int, data: bytes) -> None:
        time.sleep(seconds)
        write_all(file, data)

    _journal_file._write_all = slowly


def announce(method: str, as_what: str) -> None:
    """Say when the journal's file is about to be used in some way, so that a test can kill just then."""
    use: Callable[..., Any] = getattr(JournalFile, method)

    def announced(file: JournalFile, *arguments: Any) -> Any:
        say(as_what)
        return use(file, *arguments)

    setattr(JournalFile, method, announced)


def keep_small(smallest: int) -> None:
    """Have the journal rewritten as soon as it has so many bytes, so that a kill finds it at that too."""
    defaults = _journal.Journal.__init__.__kwdefaults__
    assert defaults is not None
    defaults["smallest"] = smallest


def answer_before_commit() -> None:
    """Plant the fault that a judge must find."""

    async def do_not_wait(_: object) -> None:
        pass

    vars(_journal)["Journal"].commit = do_not_wait


async def serve(counter: TokenCounter, stop: asyncio.Event) -> None:
    """Serve until the end."""
    async with counter:
        say(counter.url)
        await stop.wait()


async def main(
    *,
    directory: str,
    limits: dict[str, Any],
    port: int = 0,
    sharing: dict[str, Any] | None = None,
    slow_disk: float = 0.0,
    smallest: int = 1 << 20,
    faulty: bool = False,
) -> None:
    """Serve one pool until killed, or in good order until terminated."""
    slow_down_the_disk(slow_disk)
    announce("read", "replaying")
    announce("replace", "rewriting")
    keep_small(smallest)
    if faulty:
        answer_before_commit()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stop.set)
    pools = {"completion": Limits(**limits)}
    shares = {"completion": Sharing(**(sharing or {}))}
    await serve(TokenCounter(pools, port=port, assume_idle=True, sharing=shares, journal=directory), stop)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
