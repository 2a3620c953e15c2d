"""The owner of one sender: takes what tasks hand in, sends it in batches, and answers each when it is accepted."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from penstock_servicebus._calls import calling
from penstock_servicebus._errors import ServiceBusUnavailable, UnsendableResult
from penstock_servicebus._link import Link
from penstock_servicebus._wakeup import Wakeup

_SLOW_SEND = 20.0  # s that a large transfer may take on a slow line


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Messages handed in together, and the promise to whoever waits for them."""

    messages: Sequence[ServiceBusMessage] = field(repr=False)
    accepted: asyncio.Future[None]


class Outbox:
    """Sends messages to one queue; only `run` ever touches the sender, which is not safe for concurrent use."""

    def __init__(self, link: Link[ServiceBusSender]) -> None:
        self._link = link
        self._waiting: deque[_Parcel] = deque()
        self._wakeup = Wakeup()

    async def send(self, messages: Sequence[ServiceBusMessage]) -> None:
        """Return when the queue has accepted all of `messages`; waits as long as Service Bus is unavailable.

        Raises:
            UnsendableResult: One of them is larger than the queue accepts.
        """
        if not messages:
            return
        parcel = _Parcel(messages, asyncio.get_running_loop().create_future())
        self._waiting.append(parcel)
        self._wakeup.ring()
        await parcel.accepted

    async def open(self) -> None:
        """Open the sender now instead of at the first message.

        Raises:
            ServiceBusUnavailable: It cannot be opened.
        """
        await self._link.get()

    async def close(self) -> None:
        """Close the sender."""
        await self._link.close()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wakeup.wait()
            await self._send_waiting()

    async def _send_waiting(self) -> None:
        """Send everything handed in, however often the link has to be made anew."""
        while self._waiting:
            parcels = [parcel for parcel in self._waiting if not parcel.accepted.done()]
            self._waiting.clear()
            try:
                await self._send_all(parcels)
            except ServiceBusUnavailable as error:
                self._waiting.extendleft(reversed([parcel for parcel in parcels if not parcel.accepted.done()]))
                await self._link.broke(error)
                await asyncio.sleep(self._link.delay)
            else:
                self._link.works()

    async def _send_all(self, parcels: list[_Parcel]) -> None:
        """Send parcels together if that is possible, else one by one so that only the one too large fails."""
        sender = await self._link.get()
        if len(parcels) > 1 and await _send_together(sender, parcels):
            return
        for parcel in parcels:
            if not parcel.accepted.done():
                await _send_parcel(sender, parcel)


async def _send_together(sender: ServiceBusSender, parcels: list[_Parcel]) -> bool:
    """Send many parcels in few transfers; False, and nothing sent, if one message is too large for any batch."""
    transfers = await _pack(sender, [message for parcel in parcels for message in parcel.messages])
    if any(isinstance(transfer, ServiceBusMessage) for transfer in transfers):
        return False
    for transfer in transfers:
        await _send(sender, transfer)
    for parcel in parcels:
        _answer(parcel)
    return True


async def _send_parcel(sender: ServiceBusSender, parcel: _Parcel) -> None:
    """Send one parcel and answer it, also when one of its messages is more than the queue accepts.

    Messages too large for a batch go first: if one of them is refused, nothing of the parcel was sent.
    """
    try:
        transfers = await _pack(sender, parcel.messages)
        for transfer in sorted(transfers, key=lambda transfer: isinstance(transfer, ServiceBusMessageBatch)):
            await _send(sender, transfer)
    except UnsendableResult as error:
        _answer(parcel, error)
    else:
        _answer(parcel)


async def _send(sender: ServiceBusSender, transfer: ServiceBusMessage | ServiceBusMessageBatch) -> None:
    """Send one transfer; no lock waits for it, so it may take its time."""
    async with calling("send messages", wait=_SLOW_SEND):
        await sender.send_messages(transfer)


async def _pack(
    sender: ServiceBusSender, messages: Sequence[ServiceBusMessage]
) -> list[ServiceBusMessage | ServiceBusMessageBatch]:
    """Put messages, in order, into as few transfers as the link allows; one too large for a batch goes alone."""
    if len(messages) == 1:
        return list(messages)
    transfers: list[ServiceBusMessage | ServiceBusMessageBatch] = []
    for message in messages:
        if transfers and _fits(transfers[-1], message):
            continue
        async with calling("send messages"):
            batch = await sender.create_message_batch()
        transfers.append(batch if _fits(batch, message) else message)
    return transfers


def _fits(transfer: ServiceBusMessage | ServiceBusMessageBatch, message: ServiceBusMessage) -> bool:
    """Add a message to a batch if there is room."""
    if isinstance(transfer, ServiceBusMessage):
        return False
    try:
        transfer.add_message(message)
    except MessageSizeExceededError:
        return False
    return True


def _answer(parcel: _Parcel, error: UnsendableResult | None = None) -> None:
    """Tell the waiting task, unless it has gone."""
    if parcel.accepted.done():
        return
    if error is None:
        parcel.accepted.set_result(None)
    else:
        parcel.accepted.set_exception(error)
