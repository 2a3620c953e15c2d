"""A counter that is killed again and again under load, and a judge with an account of its own."""

from __future__ import annotations

import asyncio
import contextlib
import runpy
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_token_client import TokenClient

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from penstock_token_client import Limits

SCRIPT = Path(__file__).with_name("kept_counter.py")
LIMITS: Limits = runpy.run_path(str(SCRIPT))["LIMITS"]
TOKENS = 400  # 25 requests fill a window
CALLERS = 20
LIVES = (12, 9, 16, 5, 14, 8)  # requests that each counter grants before it is killed: two or three lives fill a window
NEWER = b'00000029 3864e6f5 {"format":"penstock-token-journal","v":2}\n'


class Judge:
    """Counts what arrives, as the model's endpoint would, and tells when something does."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self._arrived = asyncio.Event()

    def arrive(self) -> None:
        self.arrivals.append(time.monotonic())
        self._arrived.set()

    async def see(self, requests: int) -> None:
        """Wait until so many more have arrived."""
        expected = len(self.arrivals) + requests
        async with asyncio.timeout(60):
            while len(self.arrivals) < expected:
                self._arrived.clear()
                await self._arrived.wait()

    def most_tokens(self) -> int:
        """Return the most tokens that arrived within any window, so for any phase."""
        return TOKENS * max(sum(start <= at < start + LIMITS.window for at in self.arrivals) for start in self.arrivals)


@asynccontextmanager
async def counting(directory: Path, port: int, *faults: str) -> AsyncIterator[tuple[Process, str]]:
    """Run a counter as a process of its own, which is gone afterwards."""
    arguments = (str(SCRIPT), str(port), str(directory), *faults)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        yield process, url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def work(client: TokenClient, judge: Judge) -> None:
    """Ask, send and report, for as long as the test lasts."""
    while True:
        async with client.reserve(TOKENS) as reservation:
            judge.arrive()
            await reservation.report(prompt_tokens=TOKENS, completion_tokens=0)


async def judged(directory: Path, *faults: str) -> int:
    """Kill a counter under load, each time while it grants; return the most tokens that any window saw."""
    judge = Judge()
    async with contextlib.AsyncExitStack() as stack:
        process, url = await stack.enter_async_context(counting(directory, 0, *faults))
        client = await stack.enter_async_context(TokenClient("a", url))
        callers = [asyncio.ensure_future(work(client, judge)) for _ in range(CALLERS)]
        for life in LIVES:
            await judge.see(life)
            process.kill()
            await process.wait()
            process, _ = await stack.enter_async_context(counting(directory, int(url.rpartition(":")[2]), *faults))
        await judge.see(CALLERS)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
    return judge.most_tokens()


async def test_no_window_exceeds_the_limit_however_often_the_counter_is_killed(tmp_path: Path) -> None:
    most = await judged(tmp_path)

    assert LIMITS.tpm / 2 < most <= LIMITS.tpm


async def test_the_judge_finds_a_counter_that_answers_before_its_grants_are_durable(tmp_path: Path) -> None:
    assert await judged(tmp_path, "answer-before-commit") > LIMITS.tpm


async def test_a_journal_in_use_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    limits = ("--tpm", "1000", "--rpm", "600", "--port", "0", "--journal", str(tmp_path))
    async with counting(tmp_path, 0):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock_token_counter", *limits, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()

    assert process.returncode == 2
    assert "another token counter uses it" in said.decode()
    assert said.decode().count("\n") == 1


async def test_a_journal_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(NEWER)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_token_counter", "--tpm", "10", "--rpm", "10", "--port", "0"),
        *("--journal", str(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()

    assert process.returncode == 2
    assert "of version 2" in said.decode()
    assert (tmp_path / "journal").read_bytes() == NEWER
