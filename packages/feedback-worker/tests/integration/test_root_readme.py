"""What the README at the root shows is what happens."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from feedback_worker._inputs import read_inputs
from penstock_local_azure import LocalAzure

README = (Path(__file__).parents[4] / "README.md").read_text()
(WORKER,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


async def test_the_worker_in_fifteen_lines_answers_a_message(monkeypatch: pytest.MonkeyPatch, counter_url: str) -> None:
    async with LocalAzure(queues=["feedback-in", "feedback-out"], judge="exact", latency=0.0) as azure:
        for name, value in {**azure.environment(), "TOKEN_COUNTER_URL": counter_url}.items():
            monkeypatch.setenv(name, value)
        names: dict[str, Any] = {}
        exec(compile(WORKER, "README.md", "exec"), names)  # noqa: S102 - it is our own README
        worker = asyncio.create_task(names["main"]())
        async with ServiceBusClient.from_connection_string(azure.service_bus.connection_string) as client:
            sender = client.get_queue_sender("feedback-in")
            receiver = client.get_queue_receiver("feedback-out", max_wait_time=30)
            async with sender, receiver:
                await sender.send_messages(ServiceBusMessage(json.dumps({"text": "Great kettle!"})))
                (answer,) = await receiver.receive_messages(1, max_wait_time=30)
        worker.cancel()
        await asyncio.wait([worker])

    analysis = names["Analysis"].model_validate_json(b"".join(answer.body))
    assert isinstance(analysis.reply, str)


def test_the_worker_has_fifteen_lines_of_its_own() -> None:
    lines = [line for line in WORKER.splitlines() if line.strip() and not line.startswith(("from ", "import "))]

    assert len(lines) <= 15


def test_what_the_first_command_prints_is_shown_as_it_was_printed() -> None:
    shown = README.split("<!-- printed by: uv run feedback-worker --local -->")[1].split("<!-- end -->")[0]

    assert "What became of every message" in shown
    assert f"{len(read_inputs(None).texts)} pieces" in README


def test_both_commands_are_those_that_are_tested() -> None:
    commands = re.findall(r"^\$ (.+)$", README, re.MULTILINE)

    assert commands == ["pip install uv && uv run feedback-worker --local", "pip install uv && uvx nox"]
    assert commands[1] in (Path(__file__).parents[4] / ".ci" / "run").read_text()
