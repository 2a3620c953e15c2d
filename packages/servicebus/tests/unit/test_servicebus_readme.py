"""The README's examples run as they stand, against a Service Bus on loopback."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import Queue, ServiceBus
from penstock_servicebus import AsyncServiceBusHandler

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
async def questions(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServiceBus]:
    """The queues the examples name, with one good and one bad question."""
    async with ServiceBus([Queue("questions"), Queue("answers", duplicate_detection=600.0)]) as bus:
        monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", bus.connection_string)
        monkeypatch.delenv("SERVICE_BUS_NAMESPACE", raising=False)
        async with (
            ServiceBusClient.from_connection_string(bus.connection_string) as client,
            client.get_queue_sender("questions") as sender,
        ):
            await sender.send_messages([ServiceBusMessage('{"text": "how many words"}'), ServiceBusMessage("none")])
        yield bus


async def run(example: str) -> None:
    await asyncio.to_thread(exec, compile(example, README.name, "exec"), {"__name__": "example"})


async def send(bus: ServiceBus, body: str) -> None:
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_sender("questions") as sender,
    ):
        await sender.send_messages(ServiceBusMessage(body, message_id="asked"))


async def test_the_examples_run(questions: ServiceBus, capsys: pytest.CaptureFixture[str]) -> None:
    worker, lifespan, context, logs = EXAMPLES

    await run(worker)
    await run(lifespan)
    await send(questions, "how many?")
    await run(context)
    await send(questions, "how many?")
    await run(logs)

    logging.getLogger("shop").handlers.clear()

    printed = capsys.readouterr()
    answered, state = printed.out.splitlines()
    (line,) = printed.err.splitlines()
    assert answered == "1 answered, {'UndecodableMessage': 1} dead-lettered"
    assert state == "True False"
    assert re.fullmatch(r"shop \[asked [0-9a-f]{32}\] working", line)
    assert questions.stats()["answers"]["enqueued"] == 3
    assert questions.stats()["questions"]["completed"] == 3


class QuotaTooSmall(Exception):  # noqa: N818 - the README's name
    permanent = True


async def test_the_console_example_shows_what_the_commands_print(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(_: dict[str, str]) -> None:
        raise QuotaTooSmall

    console = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[0]
    examples = re.findall(r"^\$ penstock-servicebus (.*)\n((?:[^$].*\n)*)", console, re.MULTILINE)
    async with ServiceBus([Queue("questions"), Queue("answers")]) as bus:
        monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", bus.connection_string)
        monkeypatch.setenv("COLUMNS", "80")
        async with (
            ServiceBusClient.from_connection_string(bus.connection_string) as client,
            client.get_queue_sender("questions") as sender,
        ):
            for index, body in enumerate(("not an object.", '{"text": ""}'), start=1):
                await sender.send_messages(ServiceBusMessage(body, message_id=f"question-{index}"))
        await AsyncServiceBusHandler(work, "questions", "answers", max_concurrency=1).run(max_messages=2)

        for arguments, printed in examples:
            done = await command(*arguments.split())
            assert without_times(done.out + done.err) == without_times(printed)

    assert len(examples) == 3


def without_times(text: str) -> str:
    """The same with all times and the gaps in front of them made equal."""
    text = re.sub(r" +\d+ s ", " 0 s ", text)
    text = re.sub(r'"age_s": [\d.]+', '"age_s": 0', text)
    return re.sub(r'"enqueued": "[^"]+"', '"enqueued": ""', text)
