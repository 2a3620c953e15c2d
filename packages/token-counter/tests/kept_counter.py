"""A counter with a journal and a short window, as a process that a test can kill: PORT DIRECTORY [FAULT]."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from penstock_token_client import Limits
from penstock_token_counter import TokenCounter, _journal, _journal_file

LIMITS = Limits(tpm=10_000, rpm=400, window=6.0, sub_window=6.0, headroom=0.0, margin=1.0)
SLOW_DISK = 0.05
"""Seconds that a sync takes here, so that a kill finds decisions that are not durable yet."""


def _slow_down_the_disk() -> None:
    """Make every write take as long as on a slow disk."""
    write_all = _journal_file._write_all

    def slowly(file: int, data: bytes) -> None:
        time.sleep(SLOW_DISK)
        write_all(file, data)

    _journal_file._write_all = slowly


def _answer_before_commit() -> None:
    """Plant the fault that the test must find."""

    async def do_not_wait(_: object) -> None:
        pass

    vars(_journal)["Journal"].commit = do_not_wait


async def _serve(port: int, directory: str) -> None:
    """Serve until killed."""
    async with TokenCounter({"completion": LIMITS}, port=port, assume_idle=True, journal=directory) as counter:
        os.write(1, f"{counter.url}\n".encode())
        await asyncio.Event().wait()


if __name__ == "__main__":
    _slow_down_the_disk()
    if sys.argv[3:] == ["answer-before-commit"]:
        _answer_before_commit()
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
