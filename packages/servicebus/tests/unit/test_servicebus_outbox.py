"""The owner of a sender: batches, faults, and answers to those who wait."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError, OperationTimeoutError

from penstock_servicebus import UnsendableResult
from penstock_servicebus._link import Link
from penstock_servicebus._outbox import Outbox


class ScriptedSender:
    """A sender that fails as the SDK does, on cue; batches are the SDK's own."""

    faults: list[Exception]
    transfers: list[list[str]]
    opened = 0
    closed = 0
    under_way = 0

    def __init__(self) -> None:
        self.faults = []
        self.transfers = []

    async def __aenter__(self) -> Self:
        self.opened += 1
        return self

    async def close(self) -> None:
        self.closed += 1

    async def create_message_batch(self) -> ServiceBusMessageBatch:
        return ServiceBusMessageBatch(max_size_in_bytes=2000)

    async def send_messages(self, transfer: ServiceBusMessage | ServiceBusMessageBatch) -> None:
        assert self.under_way == 0, "the SDK's senders are not safe for concurrent use"
        self.under_way += 1
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.faults:
            raise self.faults.pop(0)
        messages = transfer._messages if isinstance(transfer, ServiceBusMessageBatch) else [transfer]
        if any(len(b"".join(message.body)) > 5000 for message in messages):
            raise MessageSizeExceededError(message="too large")
        self.transfers.append([str(message.message_id) for message in messages])


def message(name: str, size: int = 10) -> ServiceBusMessage:
    return ServiceBusMessage(b"x" * size, message_id=name)


@pytest.fixture
def sender() -> ScriptedSender:
    return ScriptedSender()


@pytest.fixture
async def outbox(sender: ScriptedSender, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Outbox]:
    monkeypatch.setattr("penstock_servicebus._link._FIRST_DELAY", 0.001)
    make: Callable[[], Any] = lambda: sender  # noqa: E731 - typed as the SDK's sender, which it stands for
    box = Outbox(Link("sender to out", make, lambda: 0.5))
    running = asyncio.create_task(box.run())
    yield box
    running.cancel()
    await asyncio.wait([running])


async def test_what_waits_together_is_sent_together_and_in_order(sender: ScriptedSender, outbox: Outbox) -> None:
    await asyncio.gather(*(outbox.send([message(str(index))]) for index in range(5)))

    assert sender.transfers == [["0", "1", "2", "3", "4"]]


async def test_a_batch_holds_no_more_than_fits(sender: ScriptedSender, outbox: Outbox) -> None:
    await asyncio.gather(*(outbox.send([message(str(index), 800)]) for index in range(5)))

    assert sender.transfers == [["0", "1"], ["2", "3"], ["4"]]


async def test_a_message_too_large_for_a_batch_is_sent_alone(sender: ScriptedSender, outbox: Outbox) -> None:
    await asyncio.gather(outbox.send([message("small")]), outbox.send([message("large", 4000)]))

    assert sender.transfers == [["small"], ["large"]]


async def test_only_the_one_that_is_too_large_fails(sender: ScriptedSender, outbox: Outbox) -> None:
    answers = await asyncio.gather(
        *(outbox.send([message(name, size)]) for name, size in (("a", 10), ("huge", 6000), ("b", 10))),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [type(None), UnsendableResult, type(None)]
    assert [name for transfer in sender.transfers for name in transfer] == ["a", "b"]


@pytest.mark.parametrize(
    "fault",
    [
        AttributeError("'NoneType' object has no attribute 'client_ready_async'"),
        OperationTimeoutError(message="slow"),
        ConnectionResetError(),
        ValueError("The handler has already been shutdown."),
    ],
)
async def test_after_a_fault_the_sender_is_made_anew_and_the_same_messages_go_again(
    sender: ScriptedSender, outbox: Outbox, fault: Exception
) -> None:
    sender.faults = [fault, fault]

    await outbox.send([message("x")])

    assert sender.transfers == [["x"]]
    assert (sender.opened, sender.closed) == (3, 2)


async def test_who_no_longer_waits_is_not_sent(sender: ScriptedSender, outbox: Outbox) -> None:
    gone = asyncio.create_task(outbox.send([message("gone")]))
    stays = asyncio.create_task(outbox.send([message("stays")]))
    await asyncio.sleep(0)
    gone.cancel()

    await stays

    assert sender.transfers == [["stays"]]


async def test_nothing_to_send_is_sent_at_once(sender: ScriptedSender, outbox: Outbox) -> None:
    await outbox.send([])

    assert sender.opened == 0
