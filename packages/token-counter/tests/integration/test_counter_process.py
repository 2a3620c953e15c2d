from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from penstock_token_client import TokenClient

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

COMMAND = (sys.executable, "-m", "penstock_token_counter")
LIMITS = ("--tpm", "1000", "--rpm", "600", "--headroom", "0")
NEWER = b'00000029 3864e6f5 {"format":"penstock-token-journal","v":2}\n'


@asynccontextmanager
async def counting(*options: str, port: int = 0) -> AsyncIterator[tuple[Process, str]]:
    """Run a counter as a process of its own, which is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *LIMITS,
        *("--json", "--port", str(port), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            ready: dict[str, Any] = json.loads(await process.stdout.readline())
        assert ready["v"] == 1
        yield process, ready["url"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def until_waiting(client: TokenClient, waiting: int) -> None:
    async with asyncio.timeout(20):
        while (await client.get_status() or {}).get("waiting") != waiting:
            await asyncio.sleep(0.01)


async def run(*arguments: str) -> tuple[int | None, str]:
    """Run the command to its end; return its exit status and what it said on standard error."""
    status, _, said = await run_for_output(*arguments)
    return status, said


async def run_for_output(*arguments: str) -> tuple[int | None, str, str]:
    """Run the command to its end; return its exit status, and what it said on standard output and error."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, said = await process.communicate()
    return process.returncode, output.decode(), said.decode()


async def reserved(client: TokenClient) -> bool:
    """Wait for all of the pool, and report it."""
    async with client.reserve(1000) as reservation:
        return await reservation.report(prompt_tokens=1, completion_tokens=1)


async def test_callers_resume_when_a_killed_counter_is_back() -> None:
    async with counting("--assume-idle") as (process, url), TokenClient("a", url) as client:
        await client.lock_tokens(1000)
        waiting = asyncio.ensure_future(reserved(client))
        await until_waiting(client, 1)
        process.kill()
        await process.wait()
        assert (await client.lock_tokens(1)).code == "unavailable"

        async with counting("--assume-idle", port=int(url.rpartition(":")[2])):
            assert await waiting


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a signal that stops a process")
async def test_callers_resume_when_a_stalled_counter_goes_on() -> None:
    async with counting("--assume-idle") as (process, url), TokenClient("a", url, timeout=0.3) as client:
        process.send_signal(signal.SIGSTOP)
        waiting = asyncio.ensure_future(reserved(client))
        assert (await client.lock_tokens(1)).error == "Client error: no answer within 0.3 s"
        process.send_signal(signal.SIGCONT)

        async with asyncio.timeout(20):
            assert await waiting


async def test_a_terminated_counter_answers_its_polls_and_ends() -> None:
    async with counting("--assume-idle") as (process, url), TokenClient("a", url) as client:
        await client.lock_tokens(1000)
        waiting = asyncio.ensure_future(reserved(client))
        await until_waiting(client, 1)

        process.terminate()

        async with asyncio.timeout(10):
            assert await process.wait() == 0
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_it_stops_with_standard_input() -> None:
    async with counting("--stop-with-stdin") as (process, _):
        assert process.stdin is not None
        process.stdin.close()

        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_without_assume_idle_nothing_is_granted_at_first() -> None:
    async with counting() as (_, url), TokenClient("a", url) as client:
        lock = await client.lock_tokens(1)

    assert (lock.allowed, lock.code) == (False, "limited")
    assert lock.retry_after == pytest.approx(60.25, abs=10)


async def test_a_port_in_use_is_one_sentence_and_status_2() -> None:
    async with counting() as (_, url):
        status, said = await run(*LIMITS, "--port", url.rpartition(":")[2])

    assert status == 2
    assert "is in use" in said
    assert said.count("\n") == 1


async def test_bad_numbers_are_one_sentence_and_status_2() -> None:
    status, said = await run("--tpm", "-5", "--rpm", "60")

    assert status == 2
    assert "tpm must be" in said
    assert said.count("\n") == 1


async def test_a_journal_in_use_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    async with counting("--journal", str(tmp_path)):
        status, said = await run(*LIMITS, "--port", "0", "--journal", str(tmp_path))

    assert status == 2
    assert "another token counter uses it" in said
    assert said.count("\n") == 1


async def test_a_journal_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(NEWER)

    status, said = await run(*LIMITS, "--port", "0", "--journal", str(tmp_path))

    assert status == 2
    assert "of version 2" in said
    assert (tmp_path / "journal").read_bytes() == NEWER


async def test_the_status_of_a_running_counter() -> None:
    async with counting("--assume-idle") as (_, url), TokenClient("a", url) as client:
        await client.lock_tokens(400)
        status, output, said = await run_for_output("status", "--url", url, "--json")

    assert (status, said) == (0, "")
    assert json.loads(output)["pools"][0]["locked_tokens"] == 400


async def test_no_status_is_one_sentence_and_status_2() -> None:
    status, said = await run("status", "--url", "nowhere")

    assert status == 2
    assert said.startswith("penstock-token-counter: --url")
    assert said.count("\n") == 1
