"""A queue, or a subscription of a topic, as a command names it."""

from dataclasses import dataclass

from azure.servicebus import ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

_SOCKET_TIMEOUT = 0.02  # s; see `_connection`


@dataclass(frozen=True, slots=True)
class Entity:
    """Where messages can be received from.

    Attributes:
        name: Name of the queue or topic.
        subscription: Name of the topic's subscription; None: it is a queue.
    """

    name: str
    subscription: str | None = None

    def __str__(self) -> str:
        """Its path in the namespace."""
        return self.name if self.subscription is None else f"{self.name}/Subscriptions/{self.subscription}"

    def receiver(self, client: ServiceBusClient, *, dead_letters: bool) -> ServiceBusReceiver:
        """A new receiver of its messages, or of its dead letters."""
        part = ServiceBusSubQueue.DEAD_LETTER if dead_letters else None
        if self.subscription is None:
            return client.get_queue_receiver(self.name, sub_queue=part, socket_timeout=_SOCKET_TIMEOUT)
        return client.get_subscription_receiver(
            self.name, self.subscription, sub_queue=part, socket_timeout=_SOCKET_TIMEOUT
        )
