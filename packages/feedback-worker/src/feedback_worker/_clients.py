"""SDK clients for what a run does itself: put the input on the queue, and read everything back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError
from azure.storage.blob.aio import BlobServiceClient

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential

PAGE = 250
TRIES = 3
SOCKET_TIMEOUT = 0.02
"""Seconds; the SDK's default of 0.2 s makes every answer wait for it."""


@asynccontextmanager
async def open_blobs(environment: Mapping[str, str]) -> AsyncIterator[BlobServiceClient]:
    """Open a Blob client for the account or connection string of an environment."""
    async with AsyncExitStack() as stack:
        connection_string = environment.get("AZURE_STORAGE_CONNECTION_STRING", "").strip()
        if connection_string:
            client = BlobServiceClient.from_connection_string(connection_string)
        else:
            account = environment["AZURE_STORAGE_ACCOUNT"].strip()
            url = account if "://" in account else f"https://{account}.blob.core.windows.net"
            credential = await stack.enter_async_context(_default_credential())
            client = BlobServiceClient(url, credential=credential)
        yield await stack.enter_async_context(client)


def _default_credential() -> "DefaultAzureCredential":
    """Make the credential that finds its way in every Azure environment."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow to import, and seldom needed

    return DefaultAzureCredential()


class Peeker:
    """Reads a queue, page by page, without taking anything off it: locked and scheduled messages too."""

    def __init__(self, receiver: ServiceBusReceiver) -> None:
        self._receiver = receiver
        self._next = 1

    async def new(self) -> AsyncIterator[ServiceBusReceivedMessage]:
        """Yield what has come since the last call."""
        while page := await self._peek(PAGE, self._next):
            for message in page:
                self._next = (message.sequence_number or 0) + 1
                yield message

    async def first(self) -> ServiceBusReceivedMessage | None:
        """Return the oldest message of the queue, if there is any."""
        page = await self._peek(1, 1)
        return page[0] if page else None

    async def _peek(self, count: int, start: int) -> list[ServiceBusReceivedMessage]:
        """Peek, and again if a link ended under the request, as when its token expires: the SDK then gives that up."""
        for _ in range(TRIES - 1):
            with suppress(ServiceBusError):
                return await self._receiver.peek_messages(count, sequence_number=start)
        return await self._receiver.peek_messages(count, sequence_number=start)


@asynccontextmanager
async def open_peeker(client: ServiceBusClient, queue: str, *, dead_letters: bool = False) -> AsyncIterator[Peeker]:
    """Open a peeker on a queue, or on its dead letters."""
    sub_queue = ServiceBusSubQueue.DEAD_LETTER if dead_letters else None
    receiver = client.get_queue_receiver(queue, sub_queue=sub_queue, socket_timeout=SOCKET_TIMEOUT)
    async with receiver:
        yield Peeker(receiver)


def origin_of(message: ServiceBusReceivedMessage) -> str:
    """Return the id of the message that this one goes back to: its own, or the one it names."""
    for name, value in (message.application_properties or {}).items():
        if _text(name) == "penstock-origin-id":
            return _text(value)
    return str(message.message_id)


def enqueued_origin_ms(message: ServiceBusReceivedMessage) -> int | None:
    """Return when the origin of a result was first enqueued, in ms since 1970, if the result says so."""
    for name, value in (message.application_properties or {}).items():
        if _text(name) == "penstock-enqueued":
            return int(_text(value))
    return None


def _text(value: object) -> str:
    """Read a property: the SDK gives names and strings as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
