"""Puts the input on the in-queue, and keeps an account of the ids before it does."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Self

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from feedback_worker._clients import SOCKET_TIMEOUT

BATCH = 100
"""Messages at most; large texts end a batch earlier, by its size."""


def messages_of(run: str, texts: Sequence[str], count: int | None) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of each message of a run: each text once, or `count` of them, starting over at the end."""
    chosen = texts if count is None else islice(cycle(texts), count)
    for number, text in enumerate(chosen, 1):
        yield f"{run}-{number:06d}", text


class Account:
    """The ids of what is sent, written down before it is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._file = self._path.open("w", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, ids: Iterable[str]) -> None:
        """Write some ids down."""
        self._file.write("".join(f"{message_id}\n" for message_id in ids))


async def feed(
    client: ServiceBusClient,
    queue: str,
    messages: Sequence[tuple[str, str]],
    account: Account,
    stopped: Callable[[], bool] = lambda: False,
) -> frozenset[str]:
    """Send the messages in batches, until the last or until `stopped`, and return the ids of those sent."""
    sent: set[str] = set()
    async with client.get_queue_sender(queue, socket_timeout=SOCKET_TIMEOUT) as sender:
        rest = deque(messages)
        while rest and not stopped():
            batch, ids = await _next_batch(sender, rest)
            account.write(ids)
            await sender.send_messages(batch)
            sent.update(ids)
    return frozenset(sent)


async def _next_batch(
    sender: ServiceBusSender, rest: deque[tuple[str, str]]
) -> tuple[ServiceBusMessageBatch, list[str]]:
    """Take as many messages off `rest` as one batch holds."""
    batch = await sender.create_message_batch()
    ids: list[str] = []
    while rest and len(ids) < BATCH:
        message_id, text = rest[0]
        try:
            batch.add_message(ServiceBusMessage(json.dumps({"text": text}), message_id=message_id))
        except MessageSizeExceededError:
            break
        ids.append(message_id)
        rest.popleft()
    return batch, ids
