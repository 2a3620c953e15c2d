"""The command as a user types it: its words, its files, its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import TokenClient

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

COMMAND = (sys.executable, "-m", "penstock_token_counter")
POOL = "[pools.completion]\ntpm = 1000\nrpm = 600\nheadroom = 0\n"


async def run(*arguments: str) -> tuple[int | None, str, str]:
    """Run the command to its end; return its exit status and what it said on both streams."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[tuple[Process, str]]:
    """Run a counter as a process of its own, which is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, "--json", "--port=0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            ready: dict[str, Any] = json.loads(await process.stdout.readline())
        yield process, ready["url"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_a_new_key_lets_its_app_in(tmp_path: Path) -> None:
    _, said, _ = await run("key")
    _, key, _, line = said.splitlines()
    file = tmp_path / "pools.toml"
    file.write_text(f"{POOL}[apps.a]\n{line}\n", encoding="utf-8")

    async with serving("serve", "--config", str(file), "--assume-idle") as (_, url):
        async with TokenClient("a", url, key=key) as client:
            assert (await client.lock_tokens(10)).allowed
        async with TokenClient("a", url, key="another") as client:
            assert "401" in ((await client.lock_tokens(10)).error or "")
    assert key not in line


async def test_no_key_is_printed_twice() -> None:
    keys = {(await run("key"))[1].splitlines()[1] for _ in range(2)}

    assert len(keys) == 2
    assert all(len(key) >= 43 for key in keys)


@pytest.mark.parametrize(
    ("arguments", "what_to_do"),
    [
        (["sing"], "there is no command 'sing', only serve, status, key"),
        (["key", "--loud"], "see --help"),
        (["serve"], "give --tpm N --rpm N"),
        ([], "give --tpm N --rpm N"),
        (["--config", "missing.toml"], "missing.toml cannot be read"),
        (["--tpm=5", "--rpm=5", "--requests-per-second=0"], "give a number above 0"),
        (["--tpm=5", "--rpm=5", "--requests-per-second=nan"], "give a number above 0"),
    ],
)
async def test_what_makes_no_sense_is_one_sentence_and_status_2(arguments: list[str], what_to_do: str) -> None:
    status, said, complained = await run(*arguments)

    assert (status, said, complained.count("\n")) == (2, "", 1)
    assert what_to_do in complained


async def test_stopping_tells_those_who_wait_to_ask_again_and_loses_no_grant(tmp_path: Path) -> None:
    options = ("--tpm=1000", "--rpm=600", "--headroom=0", "--assume-idle", f"--journal={tmp_path}")
    async with serving(*options) as (process, url), aiohttp.ClientSession() as session:
        granted = await asked(session, url, token_count=1000)
        waiting = asyncio.ensure_future(asked(session, url, token_count=1, wait_seconds=60))
        async with TokenClient("a", url) as client, asyncio.timeout(20):
            while (await client.get_status() or {})["waiting"] != 1:
                await asyncio.sleep(0.01)

        process.terminate()
        told = await waiting
        assert await asyncio.wait_for(process.wait(), 20) == 0

    assert (granted["allowed"], told["allowed"], told["code"]) == (True, False, "retry")
    assert told["retry_after_ms"] > 0
    async with serving(*options) as (_, url), TokenClient("a", url) as client:
        status = await client.get_status()
        assert status is not None
        assert (status["locked_tokens"], status["available_tokens"]) == (1000, 0)
        assert await client.release_tokens(granted["request_id"])


async def asked(session: aiohttp.ClientSession, url: str, **message: Any) -> dict[str, Any]:
    """Ask for quota by hand."""
    async with session.post(f"{url}/lock", json={"app_id": "a", **message}) as response:
        answer: dict[str, Any] = await response.json()
        return answer
