"""Giving a message back without counting a delivery: the one private call into the SDK.

Of AMQP's outcomes the SDK keeps one to itself: `released`. It uses it for messages that arrive outside a receive call
and when a receiver is closed (azure-servicebus 7.15, `enhanced_message_received_async` and
`drain_and_release_messages_async`), but no method of the receiver offers it. Abandoning instead would count a delivery,
and ten of those (the queue's default `maxDeliveryCount`) dead-letter a message by no fault of its own.
"""

from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp.error import AMQPException
from azure.servicebus.aio import ServiceBusReceiver


async def release(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    """Give `message` back uncounted; if its link was made anew since, by abandoning it."""
    link: Any = receiver._handler  # noqa: SLF001 - see above: there is no public way
    delivery: Any = message
    if link is not None and delivery._receiver is receiver:  # noqa: SLF001 - a delivery belongs to its link
        try:
            await link.settle_messages_async(delivery._delivery_id, delivery._delivery_tag, "released")  # noqa: SLF001
        except AMQPException:
            pass  # the link no longer knows this delivery
        else:
            return
    await receiver.abandon_message(message)
