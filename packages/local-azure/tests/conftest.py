"""What the tests of this package share: Service Bus and Azure OpenAI, and the clients for them."""

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from hypothesis import HealthCheck, settings
from openai import AsyncAzureOpenAI, AsyncOpenAI

from penstock_local_azure import Deployment, OpenAI, Queue, ServiceBus, Subscription, Topic

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

WITHIN = 20.0
"""Seconds in which something that should happen must have happened."""


class Sdk:
    """Microsoft's client, whose senders and receivers stay open for the whole test and are closed together."""

    def __init__(self, connection_string: str) -> None:
        self.client = ServiceBusClient.from_connection_string(connection_string, retry_total=0)
        self._senders: dict[str, ServiceBusSender] = {}
        self._links: list[ServiceBusSender | ServiceBusReceiver] = []

    def sender(self, name: str) -> ServiceBusSender:
        """The sender to a queue or topic."""
        if name not in self._senders:
            self._senders[name] = self.client.get_queue_sender(name)
            self._links.append(self._senders[name])
        return self._senders[name]

    async def send(self, name: str, *messages: ServiceBusMessage | str) -> None:
        """Send messages in one call."""
        made = [each if isinstance(each, ServiceBusMessage) else ServiceBusMessage(each) for each in messages]
        await self.sender(name).send_messages(made)

    async def receiver(self, name: str, subscription: str | None = None, **options: Any) -> ServiceBusReceiver:
        """Open a receiver from a queue, or from a subscription to a topic."""
        options = {"socket_timeout": 0.02, **options}
        if subscription is None:
            receiver = self.client.get_queue_receiver(name, **options)
        else:
            receiver = self.client.get_subscription_receiver(name, subscription, **options)
        self._links.append(receiver)
        return await receiver.__aenter__()

    async def two_receivers(self, name: str) -> tuple[ServiceBusReceiver, ServiceBusReceiver]:
        """Open two receivers from a queue."""
        one, other = await asyncio.gather(self.receiver(name), self.receiver(name))
        return one, other

    async def receive(self, receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
        """Receive exactly so many messages."""
        received: list[ServiceBusReceivedMessage] = []
        deadline = time.monotonic() + WITHIN
        while len(received) < count and time.monotonic() < deadline:
            received += await receiver.receive_messages(count - len(received), max_wait_time=1)
        assert len(received) == count
        return received

    async def receive_one(self, receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
        """Receive the next message."""
        (message,) = await self.receive(receiver, 1)
        return message

    async def receive_nothing(self, receiver: ServiceBusReceiver) -> None:
        """See that there is nothing to receive."""
        assert await receiver.receive_messages(1, max_wait_time=0.3) == []

    async def close(self) -> None:
        """Close everything."""
        await asyncio.gather(*(link.close() for link in self._links))
        await self.client.close()


@dataclass(frozen=True)
class Entity:
    """A queue, or a topic with one of its subscriptions, and a client for it."""

    sdk: Sdk
    connection_string: str
    name: str
    subscription: str | None = None

    @property
    def sender(self) -> ServiceBusSender:
        """The sender to it."""
        return self.sdk.sender(self.name)

    async def send(self, *messages: ServiceBusMessage | str) -> None:
        """Send messages to it in one call."""
        await self.sdk.send(self.name, *messages)

    async def receiver(self, **options: Any) -> ServiceBusReceiver:
        """Open a receiver from it."""
        return await self.sdk.receiver(self.name, self.subscription, **options)


class Namespace(ABC):
    """Makes queues and topics for one test each."""

    shortest_lock: float
    """Seconds."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def queue(self, **options: Any) -> Entity:
        """Make a queue with these properties, named as those of `penstock_local_azure.Queue`."""
        queue = Queue(f"test-{uuid4().hex}", **{"lock_duration": 30.0, **options})
        connection_string = await self._make_queue(queue)
        return Entity(self._sdk(connection_string), connection_string, queue.name)

    async def topic(self, *subscriptions: Subscription, **options: Any) -> list[Entity]:
        """Make a topic with these subscriptions; return it once with each of them."""
        topic = Topic(f"test-{uuid4().hex}", subscriptions, **options)
        connection_string = await self._make_topic(topic)
        sdk = self._sdk(connection_string)
        return [Entity(sdk, connection_string, topic.name, subscription.name) for subscription in subscriptions]

    def _sdk(self, connection_string: str) -> Sdk:
        sdk = Sdk(connection_string)
        self._stack.push_async_callback(sdk.close)
        return sdk

    @abstractmethod
    async def _make_queue(self, queue: Queue) -> str:
        """Make a queue; return the connection string that leads to it."""

    @abstractmethod
    async def _make_topic(self, topic: Topic) -> str:
        """Make a topic; return the connection string that leads to it."""


class LocalNamespace(Namespace):
    """The stand-in: one for each entity."""

    shortest_lock = 3.0

    async def _make_queue(self, queue: Queue) -> str:
        return await self._start(ServiceBus([queue]))

    async def _make_topic(self, topic: Topic) -> str:
        return await self._start(ServiceBus([topic]))

    async def _start(self, service_bus: ServiceBus) -> str:
        return (await self._stack.enter_async_context(service_bus)).connection_string


class RealNamespace(Namespace):
    """A namespace on Azure, in which entities are made before a test and removed after it."""

    shortest_lock = 5.0

    def __init__(self, stack: AsyncExitStack, connection_string: str) -> None:
        super().__init__(stack)
        self._connection_string = connection_string

    async def _make_queue(self, queue: Queue) -> str:
        administration = await self._administration()
        await administration.create_queue(queue.name, **_properties(queue), **_detection(queue))
        self._stack.push_async_callback(administration.delete_queue, queue.name)
        return self._connection_string

    async def _make_topic(self, topic: Topic) -> str:
        administration = await self._administration()
        await administration.create_topic(topic.name, **_detection(topic))
        self._stack.push_async_callback(administration.delete_topic, topic.name)
        for subscription in topic.all_subscriptions():
            await administration.create_subscription(topic.name, subscription.name, **_properties(subscription))
        return self._connection_string

    async def _administration(self) -> ServiceBusAdministrationClient:
        client = ServiceBusAdministrationClient.from_connection_string(self._connection_string)
        return await self._stack.enter_async_context(client)


def _properties(entity: Queue | Subscription) -> dict[str, Any]:
    """The properties of an entity as the administration client names them."""
    properties = {
        "lock_duration": timedelta(seconds=entity.lock_duration),
        "max_delivery_count": entity.max_delivery_count,
        "requires_session": entity.requires_session,
        "dead_lettering_on_message_expiration": entity.dead_letter_on_expiration,
    }
    if entity.time_to_live is not None:
        properties["default_message_time_to_live"] = timedelta(seconds=entity.time_to_live)
    return properties


def _detection(entity: Queue | Topic) -> dict[str, Any]:
    """The same of duplicate detection."""
    if entity.duplicate_detection is None:
        return {}
    window = timedelta(seconds=entity.duplicate_detection)
    return {"requires_duplicate_detection": True, "duplicate_detection_history_time_window": window}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closing() -> AsyncIterator[list[asyncio.Task[None]]]:
    """What tests leave to be closed while others run: the SDK sleeps half a second in every close."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    await asyncio.gather(*tasks)


@pytest_asyncio.fixture(loop_scope="module")
async def stack(closing: list[asyncio.Task[None]]) -> AsyncIterator[AsyncExitStack]:
    """What a test opens, and leaves to be closed."""
    stack = AsyncExitStack()
    yield stack
    closing.append(asyncio.create_task(stack.aclose()))


@pytest_asyncio.fixture(loop_scope="module")
async def connect(stack: AsyncExitStack) -> Callable[[str], Sdk]:
    """Makes clients that are closed after the test."""

    def make(connection_string: str) -> Sdk:
        sdk = Sdk(connection_string)
        stack.push_async_callback(sdk.close)
        return sdk

    return make


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(stack: AsyncExitStack) -> Namespace:
    """The stand-in, or the namespace named by `PENSTOCK_TEST_SERVICE_BUS`."""
    given = os.environ.get("PENSTOCK_TEST_SERVICE_BUS", "").strip()
    return RealNamespace(stack, given) if given else LocalNamespace(stack)


@pytest.fixture
async def server() -> AsyncIterator[OpenAI]:
    """Azure OpenAI with the exact judge and no latency."""
    deployments = [
        Deployment("gpt-4o"),
        Deployment("tiny", tpm=100, rpm=6_000),
        Deployment("o4-mini", reasoning=True),
        Deployment("text-embedding-3-small"),
        Deployment("text-embedding-3-large"),
        Deployment("text-embedding-ada-002"),
        Deployment("everything", serves="both"),
    ]
    async with OpenAI(deployments, judge="exact", seed=2, latency=0.0) as running:
        yield running


def on_v1(server: OpenAI) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.endpoint}/openai/v1/", api_key=server.api_key, max_retries=0)


def on_classic(server: OpenAI) -> AsyncOpenAI:
    return AsyncAzureOpenAI(
        azure_endpoint=server.endpoint, api_key=server.api_key, api_version="2024-10-21", max_retries=0
    )


@pytest.fixture
async def v1(server: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on the v1 route; it tries nothing again."""
    async with on_v1(server) as client:
        yield client


@pytest.fixture(params=[on_v1, on_classic], ids=["v1", "classic"])
async def client(request: pytest.FixtureRequest, server: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on either route."""
    async with request.param(server) as client:
        yield client
