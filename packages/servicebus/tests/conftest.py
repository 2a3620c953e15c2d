"""A Service Bus on loopback, and a client of its own at the far end that only counts."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from hypothesis import HealthCheck, settings

from penstock_local_azure import Queue, ServiceBus
from penstock_servicebus.__main__ import main

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@dataclass(frozen=True)
class Found:
    """What the far end found of one message."""

    message_id: str
    body: bytes
    properties: dict[str, object]
    reason: str | None
    description: str | None
    delivery_count: int


A_FEW = 10
"""Messages received at a time: so many are settled before the shortest locks expire, on a busy machine, too."""


class FarEnd:
    """Sends to and reads from queues with the SDK alone."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._senders: dict[str, ServiceBusSender] = {}
        self._receivers: dict[tuple[str, bool], ServiceBusReceiver] = {}

    async def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        if queue not in self._senders:
            self._senders[queue] = self._client.get_queue_sender(queue)
        await self._senders[queue].send_messages(list(messages))

    async def read(self, queue: str, count: int, *, within: float = 20.0, dead: bool = False) -> list[Found]:
        """Read `count` messages, and whatever else arrives with them, and complete them."""
        receiver = await self._receiver(queue, dead=dead)
        found: list[Found] = []
        async with asyncio.timeout(within):
            while len(found) < count:
                found += await self._read_some(receiver)
            return found + await self._read_some(receiver)

    async def take(self, queue: str, count: int) -> list[ServiceBusReceivedMessage]:
        """Receive messages as the SDK hands them out, for good."""
        async with self._client.get_queue_receiver(queue) as receiver:
            received = await receiver.receive_messages(count, max_wait_time=10)
            for message in received:
                await receiver.complete_message(message)
        return received

    async def set_aside(self, queue: str, *messages: ServiceBusMessage, reason: str, description: str = "") -> None:
        """Send messages and dead-letter them."""
        await self.send(queue, *messages)
        receiver = await self._receiver(queue, dead=False)
        left = len(messages)
        while left:
            for message in await receiver.receive_messages(min(left, A_FEW), max_wait_time=5.0):
                await receiver.dead_letter_message(message, reason=reason, error_description=description)
                left -= 1

    async def close(self) -> None:
        ends = (*self._senders.values(), *self._receivers.values())
        for end in ends:
            _end_keep_alive(end)
        await asyncio.gather(*(end.close() for end in ends))

    async def _receiver(self, queue: str, *, dead: bool) -> ServiceBusReceiver:
        if (queue, dead) not in self._receivers:
            sub_queue = ServiceBusSubQueue.DEAD_LETTER if dead else None
            receiver = self._client.get_queue_receiver(queue, sub_queue=sub_queue, socket_timeout=0.02)
            self._receivers[queue, dead] = await receiver.__aenter__()
        return self._receivers[queue, dead]

    async def _read_some(self, receiver: ServiceBusReceiver) -> list[Found]:
        received = await receiver.receive_messages(max_message_count=A_FEW, max_wait_time=0.2)
        for message in received:
            await receiver.complete_message(message)
        return [_found(message) for message in received]


def _end_keep_alive(end: Any) -> None:
    """Spare a test the second that the SDK's farewell waits for it."""
    link = end._handler
    if link is not None and link._keep_alive_thread is not None:
        link._keep_alive_thread.cancel()
        link._keep_alive_thread = None


def _found(message: ServiceBusReceivedMessage) -> Found:
    properties: dict[str, object] = {
        _text(key): _text(value) if isinstance(value, bytes) else value
        for key, value in (message.application_properties or {}).items()
    }
    return Found(
        str(message.message_id),
        b"".join(message.body),
        properties,
        message.dead_letter_reason,
        message.dead_letter_error_description,
        message.delivery_count or 0,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def command(bus: ServiceBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `penstock-servicebus` with arguments, in a thread of its own, against the bus."""
    monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", bus.connection_string)
    monkeypatch.delenv("SERVICE_BUS_NAMESPACE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["penstock-servicebus", *arguments])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    async def run_in_thread(*arguments: str) -> Done:
        capsys.readouterr()
        status = await asyncio.to_thread(run, *arguments)
        return Done(status, *capsys.readouterr())

    return run_in_thread


Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait for a condition, and fail if it does not come true."""

    async def wait_for(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20.0):
            while not condition():
                await asyncio.sleep(0.005)

    return wait_for


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBus]:
    """Queues "in" and "out" with duplicate detection, and "short" whose locks last two seconds."""
    queues = [
        Queue("in", duplicate_detection=600.0),
        Queue("out", duplicate_detection=600.0),
        Queue("short", lock_duration=2.0, duplicate_detection=600.0),
    ]
    async with ServiceBus(queues) as service_bus:
        yield service_bus


@pytest.fixture
async def far_end(bus: ServiceBus) -> AsyncIterator[FarEnd]:
    unused = SSLContext(PROTOCOL_TLS_CLIENT)  # else the SDK reads all of certifi's for each connection, plain ones too
    async with ServiceBusClient.from_connection_string(bus.connection_string, ssl_context=unused) as client:
        end = FarEnd(client)
        yield end
        await end.close()
