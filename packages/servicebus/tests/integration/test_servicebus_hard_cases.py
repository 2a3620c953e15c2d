"""What cannot work ends in an error that says what and where; what can work again does; nothing hangs."""

import asyncio
import gc
import logging
import socket
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import CloseConnection, Refuse, ServiceBus
from penstock_servicebus import AsyncServiceBusHandler, ConfigurationError, ServiceBusUnavailable, _pace

KEY = "CANARY-key"


async def echo(message: str) -> str:
    return message


def access(endpoint: str, more: str = "") -> str:
    return f"Endpoint=sb://{endpoint};SharedAccessKeyName=n;SharedAccessKey={KEY}{more}"


class RefusedCredential:
    """A credential whose tenant refuses it; what it says about that must not travel on."""

    async def get_token(self, *_: str, **__: Any) -> Any:
        raise ClientAuthenticationError(f"refused: {KEY}")

    async def close(self) -> None: ...


async def read_anew(bus: ServiceBus) -> set[str]:
    """The ids on the out-queue, read over a connection of its own."""
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("out") as receiver,
    ):
        return {str(message.message_id) for message in await receiver.receive_messages(10, max_wait_time=2)}


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A port where everybody is let in and nobody is answered."""
    writers: list[asyncio.StreamWriter] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()
    await server.wait_closed()


async def refusal(handler: AsyncServiceBusHandler) -> ServiceBusUnavailable:
    """Run a handler that cannot run, and return why."""
    async with asyncio.timeout(20):
        with pytest.raises(ServiceBusUnavailable) as caught:
            await handler.run()
    assert not handler.running
    assert (caught.value.environment, caught.value.permanent) == (True, False)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("transport", ["amqp", "websockets"])
async def test_a_namespace_that_does_not_exist(transport: str) -> None:
    handler = AsyncServiceBusHandler(
        echo, "in", "out", connection_string=access("nowhere.invalid/"), transport=transport
    )

    error = await refusal(handler)

    assert str(error) in {
        f"cannot open {what} at nowhere.invalid: ServiceBusConnectionError (gaierror)"
        for what in ("sender to out", "receiver of in")
    }


async def test_a_port_where_nobody_listens(closed_port: int) -> None:
    string = access(f"127.0.0.1:{closed_port}", ";UseDevelopmentEmulator=true")

    error = await refusal(AsyncServiceBusHandler(echo, "in", "out", connection_string=string))

    assert f"at 127.0.0.1:{closed_port}: ServiceBusConnectionError (ConnectionRefusedError)" in str(error)


async def test_a_port_where_nobody_answers(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_servicebus._link._OPEN_WITHIN", 0.5)
    string = access(f"127.0.0.1:{silent_port}", ";UseDevelopmentEmulator=true")

    error = await refusal(AsyncServiceBusHandler(echo, "in", "out", connection_string=string))

    assert "TimeoutError" in str(error)


async def test_a_credential_that_is_refused(bus: ServiceBus) -> None:
    async with ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client:
        client._credential = RefusedCredential()  # type: ignore[assignment]  # plain TCP takes no token credential

        error = await refusal(AsyncServiceBusHandler(echo, "in", "out", client=client))

    assert "(ClientAuthenticationError)" in str(error)


async def test_a_token_that_is_refused_at_the_start(bus: ServiceBus) -> None:
    bus.faults.add(Refuse("amqp:unauthorized-access", status=401), on="put-token")

    error = await refusal(AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string))

    assert f"at 127.0.0.1:{bus.port}: ServiceBusAuth" in str(error)


async def test_a_token_that_is_refused_later_is_waited_out(
    bus: ServiceBus, far_end: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await far_end.send("in", ServiceBusMessage("before", message_id="before"))
    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string, max_wait_time=0.2)
    async with handler:
        await eventually(lambda: handler.total_processed_messages == 1)
        bus.faults.add(Refuse("amqp:unauthorized-access", status=401), on="put-token")
        for connection in list(bus._connections):
            connection.abort()
        await eventually(lambda: bus.faults.fired.total() >= 2)
        bus.faults.clear()
        async with (
            ServiceBusClient.from_connection_string(bus.connection_string) as client,
            client.get_queue_sender("in") as sender,
        ):
            await sender.send_messages(ServiceBusMessage("after", message_id="after"))
        await eventually(lambda: handler.total_processed_messages == 2)

    assert await read_anew(bus) == {"before/0", "after/0"}
    assert "trying again in" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(("names", "what"), [(("nope", "out"), "receiver of nope"), (("in", "nope"), "sender to nope")])
async def test_a_queue_that_does_not_exist(bus: ServiceBus, names: tuple[str, str], what: str) -> None:
    error = await refusal(AsyncServiceBusHandler(echo, *names, connection_string=bus.connection_string))

    assert str(error) == f"cannot open {what} at 127.0.0.1:{bus.port}: MessagingEntityNotFoundError (AMQPLinkError)"


@pytest.mark.parametrize("string", ["rubbish", f"SharedAccessKeyName=n;SharedAccessKey={KEY}", "Endpoint=sb://x/"])
def test_a_connection_string_that_is_none_is_refused_at_construction(string: str) -> None:
    with pytest.raises(ConfigurationError, match="connection_string is not a Service Bus connection string") as caught:
        AsyncServiceBusHandler(echo, "in", "out", connection_string=string)

    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_connection_string_for_one_entity_is_refused_at_construction() -> None:
    with pytest.raises(ConfigurationError, match="good for in only") as caught:
        AsyncServiceBusHandler(echo, "in", "out", connection_string=access("x/", ";EntityPath=in"))

    assert KEY not in str(caught.value)


async def test_an_opening_that_is_cut_leaves_no_socket_behind(bus: ServiceBus) -> None:
    bus.faults.add(CloseConnection(done=False), on="attach", entity="in", nth=1)
    gc.collect()

    await refusal(AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()

    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


async def test_a_handler_that_could_not_start_starts_once_it_can(bus: ServiceBus, far_end: Any) -> None:
    string = bus.connection_string.replace(f":{bus.port}", ":1")
    client = ServiceBusClient.from_connection_string(string, retry_total=0)
    async with client:
        handler = AsyncServiceBusHandler(echo, "in", "out", client=client)
        await refusal(handler)
        await refusal(handler)

    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string)
    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    statistics = await handler.run(max_messages=1)

    assert statistics.completed == 1


async def test_after_a_long_idle_spell_receiver_and_sender_are_made_anew(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string, max_wait_time=0.2)
    async with handler:
        await far_end.send("in", ServiceBusMessage("1", message_id="1"))
        await eventually(lambda: handler.total_processed_messages == 1)
        for number in (2, 3):
            await eventually(lambda: handler.sleep_seconds == 0.2)
            for connection in list(bus._connections):  # what a load balancer does to those that say nothing
                connection.abort()
            async with (
                ServiceBusClient.from_connection_string(bus.connection_string) as client,
                client.get_queue_sender("in") as sender,
            ):
                await sender.send_messages(ServiceBusMessage(str(number), message_id=str(number)))
            await eventually(lambda number=number: handler.total_processed_messages == number)

    assert await read_anew(bus) == {"1/0", "2/0", "3/0"}


async def test_a_wait_on_an_idle_queue_delays_no_message(
    bus: ServiceBus, far_end: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pace, "_SHORTEST", 60.0)
    handler = AsyncServiceBusHandler(echo, "in", "out", connection_string=bus.connection_string, max_wait_time=60.0)
    async with handler:
        await far_end.send("in", ServiceBusMessage("first", message_id="first"))
        await eventually(lambda: handler.total_processed_messages == 1)
        assert handler.sleep_seconds == 60.0  # which is longer than `eventually` is patient
        await far_end.send("in", *(ServiceBusMessage(str(n), message_id=str(n)) for n in range(40)))
        await eventually(lambda: handler.total_processed_messages == 41)


async def test_a_processor_that_blocks_the_loop_is_named_and_counted_and_loses_nothing(
    bus: ServiceBus, far_end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def block(message: str) -> str:
        time.sleep(1.3)  # noqa: ASYNC251 - what it is about
        return message

    await far_end.send("in", *(ServiceBusMessage(name, message_id=name) for name in "ab"))
    caplog.set_level(logging.WARNING)
    handler = AsyncServiceBusHandler(block, "in", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=2)

    warnings = [record for record in caplog.records if "stood still" in record.getMessage()]
    assert 1 <= statistics.standstills <= 2
    assert len(warnings) == 1, "at most one a minute"
    assert f"in {block.__qualname__}" in warnings[0].getMessage()
    assert len(await far_end.read("out", 2)) == 2
