"""The local Service Bus through Microsoft's JavaScript SDK: another AMQP client, written by other people.

Needs node, and what `npm ci` installs in `tests/js`, as the nox session does; skipped without, but not in CI.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from penstock_local_azure import Queue, ServiceBus, Topic

SCRIPTS = Path(__file__).parents[1] / "js"
WITHIN = 300.0
"""Seconds for all operations together, on a busy machine."""

QUEUE_OPERATIONS = (
    "send",
    "batch",
    "complete",
    "abandon",
    "dead-letter",
    "defer",
    "schedule",
    "cancel",
    "peek",
    "renew-lock",
    "receive-and-delete",
    "subscribe",
    "not-found",
)
OPERATIONS = (*QUEUE_OPERATIONS, "session", "subscription")


async def test_the_javascript_sdk_gets_what_it_expects() -> None:
    node = shutil.which("node")
    if node is None or not (SCRIPTS / "node_modules").is_dir():
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("needs node, and `npm ci` in tests/js")
    grouped, topic = Queue("session", requires_session=True), Topic("subscription", ["one", "other"])
    async with ServiceBus([*QUEUE_OPERATIONS, grouped, topic]) as service_bus:
        run = await asyncio.create_subprocess_exec(
            node, str(SCRIPTS / "service_bus.mjs"), service_bus.connection_string, stdout=asyncio.subprocess.PIPE
        )
        try:
            output, _ = await asyncio.wait_for(run.communicate(), WITHIN)
        finally:
            if run.returncode is None:
                run.kill()
                await run.wait()

    errors = {report["name"]: report["error"] for report in map(json.loads, output.splitlines())}
    assert run.returncode == 0
    assert errors == dict.fromkeys(OPERATIONS)
