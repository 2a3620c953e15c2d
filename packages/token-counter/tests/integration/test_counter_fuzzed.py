"""A stranger reads /openapi.json and tries all that it allows and forbids: schemathesis, with every check it has."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import Access, App, TokenCounter
from penstock_token_counter._access import digest

LIMITS = Limits(tpm=10**12, rpm=10**9)
POOLS = {"completion": LIMITS, "embedding": LIMITS}
OPEN: tuple[Access, tuple[str, ...]] = (Access(), ())
GUARDED = (
    Access(apps={"feedback": App(keys=[digest("canary")])}),
    ("--header=Authorization: Bearer canary", "--phases=coverage"),
)


async def fuzz(url: str, folder: Path, *options: str) -> tuple[int | None, str]:
    """Run schemathesis; return its exit status and its report."""
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "fuzzing_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--checks=all", "--max-examples=10", "--generation-deterministic", "--continue-on-failure", "--no-color"),
        *options,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(240):
            report, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, report.decode()


@pytest.mark.parametrize(("access", "options"), [OPEN, GUARDED], ids=["open", "guarded"])
async def test_it_is_what_it_says_whatever_comes(access: Access, options: tuple[str, ...], tmp_path: Path) -> None:
    async with TokenCounter(POOLS, assume_idle=True, access=access, requests_per_second=10**6) as counter:
        status, report = await fuzz(counter.url, tmp_path, *options)
        async with TokenClient("feedback", counter.url, key="canary") as client:
            after = await client.lock_tokens(1)

    assert status == 0, report
    assert "12 selected" in report
    assert after.allowed
