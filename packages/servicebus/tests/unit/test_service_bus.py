"""The handler's everyday life, under the seed's names: bodies, sending, connections, errors, sleep."""

import asyncio
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler, ConfigurationError, UndecodableMessage, UnsendableResult


async def shout(message: str) -> str:
    return message.upper()


async def reverse(message: bytes) -> bytes:
    return message[::-1]


async def count(message: dict[str, Any]) -> dict[str, int]:
    return {key: len(value) for key, value in message.items()}


async def fail(_: str) -> None:
    raise RuntimeError("CANARY")


def handler_of(bus: ServiceBus, processor: Any = shout, **options: Any) -> AsyncServiceBusHandler:
    options = {"retry_delay": 0.05, "max_wait_time": 0.2} | options
    return AsyncServiceBusHandler(processor, "in", "out", connection_string=bus.connection_string, **options)


async def received(far_end: Any, message: Any) -> ServiceBusReceivedMessage:
    """The message as a receiver gets it."""
    await far_end.send("in", message)
    (taken,) = await far_end.take("in", 1)
    assert isinstance(taken, ServiceBusReceivedMessage)
    return taken


class TestAsyncServiceBusHandler:
    async def test_process_string_message(self, bus: ServiceBus, far_end: Any) -> None:
        message = await received(far_end, ServiceBusMessage("¿qué?"))

        assert await handler_of(bus).process_message(message) == "¿QUÉ?"

    async def test_send_message_success(self, bus: ServiceBus, far_end: Any) -> None:
        async with handler_of(bus) as handler:
            await handler.send_message("sent", message_id="by-hand")

        (sent,) = await far_end.read("out", 1)
        assert (sent.message_id, sent.body) == ("by-hand", b"sent")


# --- construction


def test_names_and_numbers_may_be_given_by_position() -> None:
    handler = AsyncServiceBusHandler(shout, "in", "out", "ns.servicebus.windows.net", 5, 3.0, 3.0, 1)

    assert (handler.running, handler.total_processed_messages, handler.sleep_seconds) == (False, 0, 0.05)


async def test_the_connection_string_may_come_from_the_environment(
    bus: ServiceBus, far_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", bus.connection_string)
    monkeypatch.delenv("SERVICE_BUS_NAMESPACE", raising=False)
    await far_end.send("in", ServiceBusMessage("x"))

    statistics = await AsyncServiceBusHandler(shout, "in", "out").run(max_messages=1)

    assert statistics.completed == 1


def test_without_a_service_bus_to_connect_to_the_error_names_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_BUS_CONNECTION_STRING", "SERVICE_BUS_NAMESPACE"):
        monkeypatch.setenv(name, " ")

    with pytest.raises(ConfigurationError, match="SERVICE_BUS_NAMESPACE or SERVICE_BUS_CONNECTION_STRING"):
        AsyncServiceBusHandler(shout, "in", "out")


# --- bodies


async def test_process_bytes_message(bus: ServiceBus, far_end: Any) -> None:
    message = await received(far_end, ServiceBusMessage(b"\x00\xff"))

    assert await handler_of(bus, reverse).process_message(message) == b"\xff\x00"


async def test_process_generator_message(bus: ServiceBus, far_end: Any) -> None:
    message = await received(far_end, AmqpAnnotatedMessage(data_body=[b"in ", b"three ", b"sections"]))

    assert not isinstance(message.body, bytes)
    assert await handler_of(bus).process_message(message) == "IN THREE SECTIONS"


async def test_process_json_message(bus: ServiceBus, far_end: Any) -> None:
    message = await received(far_end, ServiceBusMessage('{"a": "xyz"}'))

    assert await handler_of(bus, count).process_message(message) == {"a": 3}


async def test_process_empty_message(bus: ServiceBus, far_end: Any) -> None:
    message = await received(far_end, ServiceBusMessage(b""))

    assert await handler_of(bus).process_message(message) == ""


async def test_process_a_message_that_is_no_text(bus: ServiceBus, far_end: Any) -> None:
    message = await received(far_end, ServiceBusMessage(b"\xff"))

    with pytest.raises(UndecodableMessage, match="not UTF-8 text"):
        await handler_of(bus).process_message(message)


async def test_what_the_processor_raises_comes_out_of_process_message(bus: ServiceBus, far_end: Any) -> None:
    message = await received(far_end, ServiceBusMessage("x"))

    with pytest.raises(RuntimeError, match="CANARY"):
        await handler_of(bus, fail).process_message(message)


# --- sending


async def test_send_bytes_and_objects(bus: ServiceBus, far_end: Any) -> None:
    async with handler_of(bus) as handler:
        await handler.send_message(b"\xff", message_id="bytes")
        await handler.send_message({"a": "é"}, message_id="object")

    assert {sent.message_id: sent.body for sent in await far_end.read("out", 2)} == {
        "bytes": b"\xff",
        "object": '{"a": "é"}'.encode(),
    }


async def test_send_a_list(bus: ServiceBus, far_end: Any) -> None:
    async with handler_of(bus) as handler:
        await handler.send_message(["a", "b"], message_id="list")

    assert [(sent.message_id, sent.body) for sent in await far_end.read("out", 2)] == [
        ("list/0", b"a"),
        ("list/1", b"b"),
    ]


async def test_send_what_is_too_large(bus: ServiceBus, far_end: Any) -> None:
    async with handler_of(bus) as handler:
        with pytest.raises(UnsendableResult):
            await handler.send_message("x" * 2_000_000)
        await handler.send_message("small", message_id="small")

    assert [sent.message_id for sent in await far_end.read("out", 1)] == ["small"]


async def test_send_without_running_is_refused(bus: ServiceBus) -> None:
    with pytest.raises(RuntimeError, match="not running"):
        await handler_of(bus).send_message("x")


async def test_send_over_a_connection_that_was_lost(bus: ServiceBus) -> None:
    async with handler_of(bus) as handler:
        await handler.send_message("1", message_id="1")
        for connection in list(bus._connections):
            connection.abort()
        await handler.send_message("2", message_id="2")

    assert bus.stats()["out"]["enqueued"] == 2


# --- connections


async def test_connections_are_open_inside_the_block_and_closed_after_it(bus: ServiceBus, eventually: Any) -> None:
    async with handler_of(bus, receivers=2) as handler:
        inside, running = len(bus._connections), handler.running
    await eventually(lambda: not bus._connections)

    assert (inside, running, handler.running) == (3, True, False)  # a sender's and two receivers'


async def test_listen_works_until_stop(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    handler = handler_of(bus)
    listening = asyncio.create_task(handler.listen())
    await far_end.send("in", *(ServiceBusMessage(str(n), message_id=str(n)) for n in range(5)))
    await eventually(lambda: handler.total_processed_messages == 5)

    await handler.stop()

    assert listening.done()
    assert not handler.running


async def test_it_cannot_be_started_twice_at_once_but_again_afterwards(bus: ServiceBus, far_end: Any) -> None:
    handler = handler_of(bus)
    async with handler:
        with pytest.raises(RuntimeError, match="running already"):
            await handler.listen()
    await far_end.send("in", ServiceBusMessage("x"))

    statistics = await handler.run(max_messages=1)

    assert statistics.completed == handler.total_processed_messages == 1


async def test_stop_without_a_start_does_nothing(bus: ServiceBus) -> None:
    handler = handler_of(bus)

    await handler.stop()

    assert not handler.running


# --- errors


async def test_a_failed_message_is_tried_again(bus: ServiceBus, far_end: Any) -> None:
    attempts: list[str] = []

    async def fail_once(message: str) -> str:
        attempts.append(message)
        if len(attempts) == 1:
            raise RuntimeError
        return message

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    statistics = await handler_of(bus, fail_once).run(max_messages=2)

    assert attempts == ["x", "x"]
    assert (statistics.retried, statistics.completed) == (1, 1)


async def test_max_retries_ends_in_the_dead_letter_queue(bus: ServiceBus, far_end: Any) -> None:
    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    await handler_of(bus, fail, max_retries=1).run(max_messages=2)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert (dead.reason, dead.description) == ("RetriesExhausted", "1 retries used: RuntimeError at attempt 2")


async def test_one_failure_is_no_failure_of_the_others(bus: ServiceBus, far_end: Any) -> None:
    async def choosy(message: str) -> str:
        if message == "3":
            raise RuntimeError
        return message

    await far_end.send("in", *(ServiceBusMessage(str(n), message_id=str(n)) for n in range(6)))

    await handler_of(bus, choosy, max_retries=0).run(max_messages=6)

    assert {sent.message_id for sent in await far_end.read("out", 5)} == {f"{n}/0" for n in (0, 1, 2, 4, 5)}


# --- sleeping


async def test_sleep_grows_on_an_empty_queue_up_to_max_wait_time(bus: ServiceBus, eventually: Any) -> None:
    seen: set[float] = set()

    def is_longest() -> bool:
        seen.add(handler.sleep_seconds)
        return handler.sleep_seconds == 0.7

    async with handler_of(bus, max_wait_time=0.7) as handler:
        await eventually(is_longest)

    assert sorted(seen) == [0.05, 0.1, 0.2, 0.4, 0.7]


async def test_sleep_is_short_again_after_a_message(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    async with handler_of(bus, max_wait_time=0.4) as handler:
        await eventually(lambda: handler.sleep_seconds == 0.4)
        await far_end.send("in", ServiceBusMessage("x"))
        await eventually(lambda: handler.sleep_seconds == 0.05)
        await eventually(lambda: handler.total_processed_messages == 1)

    assert handler.statistics().received == 1


async def test_sleep_does_not_slow_a_busy_queue_down(bus: ServiceBus, far_end: Any) -> None:
    await far_end.send("in", *(ServiceBusMessage(str(n), message_id=str(n)) for n in range(30)))
    handler = handler_of(bus, max_wait_time=60.0)

    async with asyncio.timeout(20):
        statistics = await handler.run(max_messages=30)

    assert statistics.completed == 30
