"""The few private things of the SDK that nothing public replaces, all in this module (azure-servicebus 7.15).

`release`: Of AMQP's outcomes the SDK keeps one to itself: `released`. It uses it for messages that arrive outside a
receive call and when a receiver is closed (`enhanced_message_received_async`, `drain_and_release_messages_async`), but
no method of the receiver offers it. Abandoning instead would count a delivery, and ten of those (the queue's default
`maxDeliveryCount`) dead-letter a message by no fault of its own.

`Completion`: The SDK completes one message at a time and waits for the broker's answer to each: a round trip each, and
so a hundred a second at 10 ms. Its link can wait for the answers to many, but no method of the receiver lets it. Where
a later version's link is made otherwise, nothing is completed here, and the SDK does it.

`withdraw_credit`: A receive call that ends with fewer messages than it asked for leaves the rest of its request open.
What arrives for it lies locked in the socket until somebody reads. The SDK takes a request back only when it closes.

`patient`: Each receiver reads its socket in turns of one length, which must be short while others wait for their
settlements. On an idle queue nobody does, and the turns only cost. The SDK's keep-alive, which reads beside a receive
call, must hold still meanwhile: what it reads would be noticed only at the end of a turn.

`Wire`: When a connection broke, `Connection.close` marks it ended first and then does not disconnect what has ended, so
that its socket stays open until it is garbage. The same becomes of one whose opening failed or was cancelled early. And
beside each connection runs a keep-alive, which the SDK ends last of all: a farewell that is cut short leaves it to run
for ever (once a receiver has taken its credit back, it reads nothing and so never learns that the socket is closed),
and any other waits up to a second for it. So it is taken out of the SDK's hands, and ends with the socket.

`AMQPException`: The protocol layer's error, which escapes unmapped where the SDK closes or settles.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp.error import AMQPException, MessageException
from azure.servicebus._pyamqp.outcomes import Accepted
from azure.servicebus.aio import ServiceBusReceiver

__all__ = ["AMQPException", "Completion", "Wire", "patient", "release", "withdraw_credit"]


async def release(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    """Give `message` back uncounted; if its link was made anew since, by abandoning it."""
    link: Any = receiver._handler  # noqa: SLF001 - see above
    delivery: Any = message
    if link is not None and delivery._receiver is receiver:  # noqa: SLF001 - a delivery belongs to its link
        try:
            await link.settle_messages_async(delivery._delivery_id, delivery._delivery_tag, "released")  # noqa: SLF001
        except AMQPException:
            pass  # the link no longer knows this delivery
        else:
            return
    await receiver.abandon_message(message)


class Completion:
    """Several messages completed at once; tells which of them the broker has confirmed, also after a fault.

    Args:
        receiver: The open receiver.
        messages: What to complete; left out is what its present link does not know, or whose lock is known to be lost.
    """

    def __init__(self, receiver: ServiceBusReceiver, messages: Sequence[ServiceBusReceivedMessage]) -> None:
        sdk: Any = receiver
        self._link: Any = getattr(sdk._handler, "_link", None)  # noqa: SLF001 - see above
        known = getattr(self._link, "_received_delivery_tags", ())
        deliveries: Sequence[Any] = messages
        self._deliveries = {
            one._delivery_tag: one._delivery_id  # noqa: SLF001
            for one in deliveries
            if one._delivery_tag in known and not one._lock_expired  # noqa: SLF001
        }
        self._answers: dict[int, Any] = {
            number: {"settled": False, "outcome": None} for number in self._deliveries.values()
        }

    async def carry_out(self) -> None:
        """Ask for all, then wait until each is answered or the link ends.

        Raises:
            AMQPException: The connection is lost.
        """
        if not self._deliveries:
            return
        waiting = self._link._pending_dispositions  # noqa: SLF001 - see above
        waiting |= self._answers
        try:
            for tag, number in self._deliveries.items():
                await self._link._outgoing_disposition(number, None, tag, False, Accepted(), None)  # noqa: FBT003, SLF001
            await self._link._wait_for_disposition_outcome(list(self._answers), None)  # noqa: SLF001
        except MessageException:
            pass  # one at least was refused, or the link has ended: `confirmed` tells which were not
        finally:
            for number in self._answers:
                waiting.pop(number, None)

    def confirmed(self, message: ServiceBusReceivedMessage) -> bool:
        """Whether the broker has said that this message is completed."""
        delivery: Any = message
        answer = self._answers.get(self._deliveries.get(delivery._delivery_tag, -1))  # noqa: SLF001
        return answer is not None and answer["settled"] and "accepted" in (answer["outcome"] or ())


async def withdraw_credit(receiver: ServiceBusReceiver) -> None:
    """Ask for no more messages, and give back uncounted what is on its way."""
    sdk: Any = receiver
    if sdk._handler is not None:  # noqa: SLF001 - see above
        await sdk._amqp_transport.drain_and_release_messages_async(sdk._handler)  # noqa: SLF001


@contextlib.contextmanager
def patient(receiver: ServiceBusReceiver, turn: float) -> Iterator[None]:
    """Inside the block, read the socket in turns of `turn` seconds; what arrives ends one at once."""
    link: Any = receiver._handler  # noqa: SLF001 - see above
    if link is None:
        yield
        return
    before = link._socket_timeout, link._keep_alive_interval  # noqa: SLF001
    link._socket_timeout, link._keep_alive_interval = turn, math.inf  # noqa: SLF001
    try:
        yield
    finally:
        link._socket_timeout, link._keep_alive_interval = before  # noqa: SLF001


class Wire:
    """The transport under a sender or receiver, known from the moment that the SDK begins to open it."""

    def __init__(self, end: object) -> None:
        sdk: Any = end
        self._end = sdk
        self._client: Any = None
        self._connection: Any = None
        self._keep_alive: Any = None
        self._create = getattr(sdk, "_create_handler", None)
        if self._create is not None:
            sdk._create_handler = self._remember  # noqa: SLF001 - see above

    async def cut(self) -> None:
        """End the keep-alive, and close the socket if the SDK has not."""
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        transport = self._transport()
        session = getattr(transport, "session", None)
        if session is not None and transport.sock is None:  # a websocket that never opened
            await session.close()
        elif transport is not None:
            await transport.close()

    def _transport(self) -> Any:  # noqa: ANN401 - the SDK's own
        """The transport of the newest connection; that of the client, if it is still being opened."""
        connection = self._connection or getattr(self._client, "_connection", None)
        return getattr(connection, "_transport", None)

    def _remember(self, auth: Any) -> None:  # noqa: ANN401 - the SDK's own
        """Have the SDK make its AMQP client; remember this and its connection, which it forgets at a farewell."""
        if self._create is None:
            return
        self._create(auth)
        client = self._client = self._end._handler  # noqa: SLF001 - see above
        self._connection, opening = None, client.open_async

        async def open_async(**options: object) -> None:
            try:
                await opening(**options)
            finally:
                self._connection = client._connection  # noqa: SLF001 - see above
                self._take_keep_alive(client)

        client.open_async = open_async

    def _take_keep_alive(self, client: Any) -> None:  # noqa: ANN401 - the SDK's own
        """Become the owner of the keep-alive that has just been started, if one has, and end the one before it."""
        started, client._keep_alive_thread = client._keep_alive_thread, None  # noqa: SLF001 - see above
        if started is None:
            return  # each sending opens its client, which usually is open
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        self._keep_alive = started
