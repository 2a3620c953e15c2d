"""Sizes, ids and bodies at and beyond what Service Bus takes, against the limit of 1 MiB that the SDK is told."""

import hashlib
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler, HandlerStatistics

MIB = 1024 * 1024


async def run(bus: ServiceBus, processor: Any, messages: int = 1) -> HandlerStatistics:
    handler = AsyncServiceBusHandler(
        processor, "in", "out", connection_string=bus.connection_string, retry_delay=0.05, max_wait_time=0.2
    )
    return await handler.run(max_messages=messages)


async def test_results_that_are_too_much_for_one_batch_go_in_several(bus: ServiceBus, far_end: Any) -> None:
    async def split(_: str) -> list[str]:
        return [str(index) * (300 * 1024) for index in range(10)]

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    statistics = await run(bus, split)

    found = await far_end.read("out", 10)
    assert [(result.message_id, result.body[:1]) for result in found] == [
        (f"x/{index}", str(index).encode()) for index in range(10)
    ]
    assert statistics.results_sent == 10


async def test_results_just_below_the_limit_are_sent_together_or_alone(bus: ServiceBus, far_end: Any) -> None:
    sizes = (10, MIB - 600, 10, MIB - 4096)

    async def split(_: str) -> list[bytes]:
        return [b"x" * size for size in sizes]

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    await run(bus, split)

    found = await far_end.read("out", 4)
    assert {result.message_id: len(result.body) for result in found} == {
        f"x/{index}": size for index, size in enumerate(sizes)
    }


async def test_one_result_over_the_limit_dead_letters_its_message_and_sends_none_of_it(
    bus: ServiceBus, far_end: Any
) -> None:
    async def split(message: str) -> list[str]:
        return ["small", "x" * (MIB + 1), "small too"] if message == "too large" else [message]

    await far_end.send("in", *(ServiceBusMessage(body, message_id=body) for body in ("one", "too large", "two")))

    statistics = await run(bus, split, messages=3)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert (dead.message_id, dead.reason) == ("too large", "UnsendableResult")
    assert dead.description == "cannot send messages: MessageSizeExceededError"
    assert {result.message_id for result in await far_end.read("out", 2)} == {"one/0", "two/0"}
    assert statistics.completed == 2


async def test_an_id_of_128_characters_leaves_room_for_no_suffix_and_is_hashed(bus: ServiceBus, far_end: Any) -> None:
    longest = "é" * 128
    stem = hashlib.sha256(longest.encode()).hexdigest()
    calls = 0

    async def fail_once(message: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError
        return message

    await far_end.send("in", ServiceBusMessage("x", message_id=longest))

    await run(bus, fail_once, messages=2)

    (result,) = await far_end.read("out", 1)
    assert result.message_id == f"{stem}/0"
    assert result.properties["penstock-origin-id"] == longest
    assert result.properties["penstock-attempt"] == 1


async def test_attempts_of_messages_without_an_id_are_told_apart(bus: ServiceBus, far_end: Any) -> None:
    failed: set[str] = set()

    async def fail_once(message: str) -> str:
        if message not in failed:
            failed.add(message)
            raise RuntimeError
        return message

    await far_end.send("in", ServiceBusMessage("a"), ServiceBusMessage("b"))

    statistics = await run(bus, fail_once, messages=4)

    found = await far_end.read("out", 2)
    assert {result.body for result in found} == {b"a", b"b"}
    assert statistics.retried == statistics.completed == 2
    assert bus.stats()["in"]["suppressed"] == bus.stats()["out"]["suppressed"] == []


@pytest.mark.parametrize(
    ("message", "description"),
    [
        (ServiceBusMessage(b"\xff\xfe"), "body is not UTF-8 text: UnicodeDecodeError at byte 0"),
        (AmqpAnnotatedMessage(value_body={"CANARY": 1}), "body is not text or bytes: it is an AMQP dict"),
        (AmqpAnnotatedMessage(value_body=7), "body is not text or bytes: it is an AMQP int"),
        (
            AmqpAnnotatedMessage(sequence_body=[["CANARY", 1], [2]]),
            "body is not text or bytes: it is an AMQP generator",
        ),
    ],
)
async def test_a_body_of_the_wrong_kind_is_poison_and_the_next_message_is_not(
    bus: ServiceBus, far_end: Any, message: Any, description: str
) -> None:
    async def echo(message: str) -> str:
        return message

    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_sender("in") as sender,
    ):
        await sender.send_messages(message)
        await sender.send_messages(ServiceBusMessage("sound", message_id="sound"))

    statistics = await run(bus, echo, messages=2)

    (dead,) = await far_end.take("in/$DeadLetterQueue", 1)
    assert dead.dead_letter_reason == "UndecodableMessage"
    assert dead.dead_letter_error_description == description
    assert [result.message_id for result in await far_end.read("out", 1)] == ["sound/0"]
    assert statistics.dead_lettered == {"UndecodableMessage": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[1]", b'"text"', b"\xff", b"[" * 100_000])
async def test_json_that_is_no_object_is_poison(bus: ServiceBus, far_end: Any, body: bytes) -> None:
    async def accept(_: dict[str, Any]) -> None:
        raise AssertionError

    await far_end.send("in", ServiceBusMessage(body, message_id="x"))

    statistics = await run(bus, accept)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert (dead.body, dead.reason) == (body, "UndecodableMessage")
    assert statistics.dead_lettered == {"UndecodableMessage": 1}
