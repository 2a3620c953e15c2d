"""`--store-entra` as a user types it, with a managed identity as App Service offers one, and a real store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import runpy
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest
from aiohttp import web

from penstock_token_client import TokenClient
from penstock_token_counter._options import UsageError, read_options
from penstock_token_counter._serve import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from valkey_process import ValkeyProcess
else:
    ValkeyProcess = runpy.run_path(str(Path(__file__).parents[1] / "valkey_process.py"))["ValkeyProcess"]

LIMITS = ("--tpm", "1000", "--rpm", "600")
USER = "11111111-2222-3333-4444-555555555555"
HEADER = "only-this-app-knows"
ENDS = int(time.time()) + 3600
TOKEN = jwt.encode({"oid": USER, "exp": ENDS}, "a key of thirty-two bytes or more", algorithm="HS256")


@asynccontextmanager
async def identity_endpoint() -> AsyncIterator[str]:
    """Give the token to who knows the header; as "Managed identities for App Service" documents the endpoint."""

    async def answer(request: web.Request) -> web.Response:
        resource = request.query["resource"]
        if request.headers.get("X-IDENTITY-HEADER") != HEADER or resource != "https://redis.azure.com":
            return web.Response(status=400)
        token = {"access_token": TOKEN, "expires_on": str(ENDS), "resource": resource, "token_type": "Bearer"}
        return web.json_response(token)

    app = web.Application()
    app.router.add_get("/token", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def counter(store: str, identity: str) -> AsyncIterator[str]:
    """Run the command as a process of its own, which is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_token_counter", *LIMITS, "--port", "0", "--json", "--assume-idle"),
        *("--store", store, "--store-entra"),
        env={**os.environ, "IDENTITY_ENDPOINT": identity, "IDENTITY_HEADER": HEADER},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            yield json.loads(await process.stdout.readline())["url"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_a_managed_identity_signs_the_command_in_at_its_store() -> None:
    with ValkeyProcess() as valkey:
        with valkey.client() as server:
            server.execute_command("ACL", "SETUSER", USER, "on", f">{TOKEN}", "allkeys", "allchannels", "allcommands")

        async with identity_endpoint() as identity, counter(valkey.url, identity) as url:
            async with TokenClient("a", url) as client, client.reserve(10, deadline=30) as reservation:
                await reservation.report(prompt_tokens=10, completion_tokens=0)
            with valkey.client() as server:
                users = {known["user"] for known in server.client_list()}

    assert USER in users


def test_without_a_store_there_is_nothing_to_sign_in_at() -> None:
    with pytest.raises(UsageError, match="give its address with --store"):
        read_options([*LIMITS, "--store-entra"])


def test_without_its_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)

    with pytest.raises(UsageError, match=r"penstock-token-counter\[azure,redis\]"):
        run([*LIMITS, "--port", "0", "--store", "redis://cache", "--store-entra"])
