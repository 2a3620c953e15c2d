"""What happens to messages that are handled well: counted at the far end."""

import asyncio
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from pydantic import BaseModel

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler


class Question(BaseModel):
    text: str


class Answer(BaseModel):
    text: str
    length: int


def messages(count: int) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(f"body {index}", message_id=f"m-{index}") for index in range(count)]


class ClientWithGate(ServiceBusClient):
    """The SDK's client, whose out-queue accepts nothing before `opened` is set."""

    opened: asyncio.Event

    def get_queue_sender(self, queue_name: str, **kwargs: Any) -> ServiceBusSender:
        sender = super().get_queue_sender(queue_name, **kwargs)
        send = sender.send_messages

        async def gated(message: Any, **options: Any) -> None:
            await self.opened.wait()
            await send(message, **options)

        sender.send_messages = gated  # type: ignore[method-assign]
        return sender


async def test_every_message_is_answered_once(bus: ServiceBus, far_end: Any) -> None:
    async def shout(message: str) -> str:
        return message.upper()

    await far_end.send("in", *messages(120))
    handler = AsyncServiceBusHandler(shout, "in", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=120)

    found = await far_end.read("out", 120)
    assert {result.message_id for result in found} == {f"m-{index}/0" for index in range(120)}
    assert {result.properties["penstock-origin-id"] for result in found} == {f"m-{index}" for index in range(120)}
    assert len(found) == 120
    assert {result.body for result in found} == {b"BODY %d" % index for index in range(120)}
    assert statistics.completed == statistics.results_sent == handler.total_processed_messages == 120
    assert bus.stats()["in"]["completed"] == 120


async def test_a_message_is_completed_only_after_its_result_was_accepted(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    async def echo(message: str) -> str:
        return message

    client = ClientWithGate.from_connection_string(bus.connection_string)
    assert isinstance(client, ClientWithGate)
    client.opened = asyncio.Event()
    await far_end.send("in", *messages(3))
    async with client, AsyncServiceBusHandler(echo, "in", "out", client=client) as handler:
        await eventually(lambda: handler.statistics().in_progress == 3)
        before = bus.stats()
        client.opened.set()
        await eventually(lambda: bus.stats()["in"]["completed"] == 3)

    assert before["in"]["locked"] == 3
    assert before["in"]["completed"] == before["out"]["enqueued"] == 0
    assert bus.stats()["out"]["enqueued"] == 3


async def test_models_go_in_and_out_as_json(bus: ServiceBus, far_end: Any) -> None:
    async def measure(question: Question) -> Answer:
        return Answer(text=question.text, length=len(question.text))

    await far_end.send("in", ServiceBusMessage('{"text": "¿qué?"}', message_id="q"))
    handler = AsyncServiceBusHandler(measure, "in", "out", connection_string=bus.connection_string)

    await handler.run(max_messages=1)

    (result,) = await far_end.read("out", 1)
    assert Answer.model_validate_json(result.body) == Answer(text="¿qué?", length=5)


async def test_a_list_becomes_several_results_and_none_becomes_nothing(bus: ServiceBus, far_end: Any) -> None:
    async def split(message: dict[str, list[str]]) -> list[str] | None:
        return message["words"] or None

    await far_end.send(
        "in",
        ServiceBusMessage('{"words": ["a", "b", "c"]}', message_id="three"),
        ServiceBusMessage('{"words": []}', message_id="none"),
    )
    handler = AsyncServiceBusHandler(split, "in", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=2)

    found = await far_end.read("out", 3)
    assert [(result.message_id, result.body) for result in found] == [
        ("three/0", b"a"),
        ("three/1", b"b"),
        ("three/2", b"c"),
    ]
    assert statistics.completed == 2


async def test_no_more_run_at_once_than_there_are_slots(bus: ServiceBus, far_end: Any) -> None:
    at_once: list[int] = []
    running: set[str] = set()
    turn = asyncio.Event()

    async def busy(message: str) -> None:
        running.add(message)
        at_once.append(len(running))
        if len(running) == 4:
            turn.set()
        await turn.wait()
        await asyncio.sleep(0)
        running.discard(message)

    await far_end.send("in", *messages(40))
    handler = AsyncServiceBusHandler(
        busy, "in", "out", connection_string=bus.connection_string, max_concurrency=4, receivers=2
    )

    await handler.run(max_messages=40)

    assert max(at_once) == 4
    assert bus.stats()["in"]["completed"] == 40


async def test_run_returns_when_the_queue_stays_empty(bus: ServiceBus, far_end: Any) -> None:
    async def echo(message: bytes) -> bytes:
        return message

    await far_end.send("in", *messages(5))
    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string)

    statistics = await handler.run(until_empty=0.3)

    assert statistics.completed == 5
    assert not handler.running
    assert handler.sleep_seconds > 0.05


async def test_results_tell_when_the_origin_was_first_enqueued(bus: ServiceBus, far_end: Any) -> None:
    async def echo(message: str) -> str:
        return message

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string)

    await handler.run(max_messages=1)

    (result,) = await far_end.read("out", 1)
    enqueued = result.properties["penstock-enqueued"]
    assert isinstance(enqueued, int)
    assert 1_700_000_000_000 < enqueued < 4_000_000_000_000
    assert result.properties["penstock-attempt"] == 0


async def test_send_message_reaches_the_out_queue(bus: ServiceBus, far_end: Any) -> None:
    async def ignore(_: str) -> None: ...

    async with AsyncServiceBusHandler(ignore, "in", "out", connection_string=bus.connection_string) as handler:
        await asyncio.gather(*(handler.send_message({"n": index}, message_id=f"s-{index}") for index in range(50)))
        await handler.send_message(["a", "b"], message_id="list")

    found = await far_end.read("out", 52)
    assert {result.message_id for result in found} == {*(f"s-{index}" for index in range(50)), "list/0", "list/1"}


async def test_messages_without_an_id_are_told_apart(bus: ServiceBus, far_end: Any) -> None:
    async def echo(message: str) -> str:
        return message

    await far_end.send("in", *(ServiceBusMessage(f"body {index}") for index in range(3)))
    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string)

    await handler.run(max_messages=3)

    found = await far_end.read("out", 3)
    assert {result.body for result in found} == {b"body 0", b"body 1", b"body 2"}
    assert len({result.message_id for result in found}) == 3


async def test_a_second_stage_takes_results_of_one_origin_as_different_works(bus: ServiceBus, far_end: Any) -> None:
    async def twice(message: str) -> list[str]:
        return [f"{message} 1", f"{message} 2"]

    async def echo(message: str) -> str:
        return message

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    first = AsyncServiceBusHandler(twice, "in", "short", connection_string=bus.connection_string)
    second = AsyncServiceBusHandler(echo, "short", "out", connection_string=bus.connection_string)
    await first.run(max_messages=1)
    await second.run(max_messages=2)

    found = await far_end.read("out", 2)
    assert {result.message_id for result in found} == {"x/0/0", "x/1/0"}
    assert {result.body for result in found} == {b"x 1", b"x 2"}
