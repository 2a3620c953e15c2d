"""A handler without a key: all it knows is in the environment, by names that production uses, too."""

from collections.abc import AsyncIterator

import pytest
from azure.servicebus import ServiceBusMessage

from penstock_local_azure import LocalAzure, Queue
from penstock_servicebus import AsyncServiceBusHandler, ServiceBusUnavailable, open_client

BODIES = {f"{number}" for number in range(5)}


@pytest.fixture(params=["amqp", "websockets"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def azure(transport: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalAzure]:
    monkeypatch.setenv("SERVICE_BUS_TRANSPORT", transport)
    for name in ("SERVICE_BUS_CONNECTION_STRING", "AZURE_CLIENT_ID", "IDENTITY_SERVER_THUMBPRINT"):
        monkeypatch.delenv(name, raising=False)
    async with LocalAzure([Queue("in"), Queue("out", duplicate_detection=600.0)], tls=True) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


async def shout(message: str) -> str:
    return f"{message}!"


async def fill(queue: str) -> None:
    async with open_client() as client, client.get_queue_sender(queue) as sender:
        await sender.send_messages([ServiceBusMessage(body, message_id=body) for body in sorted(BODIES)])


async def found_on(queue: str) -> set[str]:
    async with open_client() as client, client.get_queue_receiver(queue) as receiver:
        return {str(message) for message in await receiver.peek_messages(100)}


async def test_it_answers_every_message(azure: LocalAzure, transport: str) -> None:
    await fill("in")

    statistics = await AsyncServiceBusHandler(shout, "in", "out").run(max_messages=len(BODIES))

    assert statistics.completed == len(BODIES)
    assert await found_on("out") == {f"{body}!" for body in BODIES}
    assert azure.service_bus.stats()["in"]["completed"] == len(BODIES)
    assert (azure.service_bus._websockets.requests_count > 0) is (transport == "websockets")  # type: ignore[union-attr]


async def test_a_refused_token_ends_the_start_with_an_error_of_the_environment(azure: LocalAzure) -> None:
    azure.identity.refuse_next("service_bus", times=2)  # receiver and sender open at the same time

    with pytest.raises(ServiceBusUnavailable) as caught:
        await AsyncServiceBusHandler(shout, "in", "out").run(max_messages=1)

    assert (caught.value.environment, caught.value.permanent) == (True, False)
    assert azure.identity.stats()["service_bus"]["refused"] == {"told to": 2}
