"""The peers in `messages.py`: loops by hand, with the SDK alone.

The best one has all that is known to help, and takes no more messages in hand than the handler does: long-lived ends,
one coroutine for all calls on a receiver (its settlements, gathered, would be twenty times slower), messages fetched
ahead, short turns at the socket, results sent in one batch, and settled after that. The other makes a client for each
message, as the SDK's samples do.
"""

import asyncio
import os
import sys
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

KIND = sys.argv[1]
BATCH, AHEAD = 50, 100
WORK_SECONDS, SLOTS = 0.05, 10
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def client() -> ServiceBusClient:
    """Return a new client."""
    return ServiceBusClient.from_connection_string(os.environ["SERVICE_BUS_CONNECTION_STRING"])


def result_of(message: ServiceBusReceivedMessage) -> ServiceBusMessage:
    """Return a result that says as much as the handler's: whose it is, since when, and in what trace."""
    text = b"".join(message.body).decode().upper()
    origin = str(message.message_id)
    properties: dict[Any, Any] = {"origin": origin, "attempt": 0, "enqueued": message.enqueued_time_utc}
    properties |= {"traceparent": TRACE, "Diagnostic-Id": TRACE}
    return ServiceBusMessage(
        text,
        message_id=f"{origin}/0",
        content_type="text/plain",
        correlation_id=origin,
        application_properties=properties,
    )


async def settle_all(receiver: ServiceBusReceiver, messages: list[ServiceBusReceivedMessage]) -> None:
    """Complete one after the other."""
    for message in messages:
        await receiver.complete_message(message)


async def in_batches(receiver: ServiceBusReceiver, sender: ServiceBusSender) -> None:
    """Work that takes no time."""
    while True:
        messages = await receiver.receive_messages(BATCH, max_wait_time=1.0)
        if messages and KIND == "results":
            await sender.send_messages([result_of(message) for message in messages])
        else:
            for message in messages:
                b"".join(message.body).decode()
        await settle_all(receiver, messages)


async def in_slots(receiver: ServiceBusReceiver) -> None:
    """Work that waits: tasks, as many as there are slots, and one coroutine that receives and settles."""
    working: dict[asyncio.Task[None], ServiceBusReceivedMessage] = {}
    while True:
        free = SLOTS - len(working)
        if free:
            for message in await receiver.receive_messages(free, max_wait_time=0.005):
                b"".join(message.body).decode()
                working[asyncio.create_task(asyncio.sleep(WORK_SECONDS))] = message
        if working:
            done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            await settle_all(receiver, [working.pop(task) for task in done])


async def long_lived() -> None:
    """The best loop for this kind of work."""
    async with (
        client() as one,
        one.get_queue_receiver("in", prefetch_count=AHEAD, socket_timeout=0.02) as receiver,
        one.get_queue_sender("out") as sender,
    ):
        await (in_slots(receiver) if KIND == "work" else in_batches(receiver, sender))


async def fresh() -> None:
    """A client and a receiver for each message."""
    while True:
        async with client() as one, one.get_queue_receiver("in") as receiver:
            await settle_all(receiver, await receiver.receive_messages(1, max_wait_time=1.0))


if __name__ == "__main__":
    asyncio.run(fresh() if KIND == "fresh" else long_lived())
