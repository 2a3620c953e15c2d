"""A queue, or a subscription of a topic: how it is named, what it allows, and how it is received from."""

from dataclasses import dataclass
from typing import Any

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

# The SDK reads the socket in turns of this many seconds; its default of 0.2 makes every call that finds the line busy
# wait that long. It must be given to each receiver: the client does not pass its own on.
_SOCKET_TIMEOUT = 0.02


@dataclass(frozen=True, slots=True)
class Entity:
    """Where messages can be received from.

    Attributes:
        name: Name of the queue or topic.
        subscription: Name of the topic's subscription; None: it is a queue.
        sessions: Whether it requires sessions.
    """

    name: str
    subscription: str | None = None
    sessions: bool = False

    def __str__(self) -> str:
        """Its path in the namespace."""
        return self.name if self.subscription is None else f"{self.name}/Subscriptions/{self.subscription}"

    @property
    def takes_copies(self) -> bool:
        """Whether a failed message may be sent here again.

        A copy sent to a topic would reach every subscription, and one sent to a session would come out of its order.
        """
        return self.subscription is None and not self.sessions

    def receiver(self, client: ServiceBusClient, *, dead_letters: bool = False) -> ServiceBusReceiver:
        """A new receiver of its messages, or of its dead letters; what arrives unasked goes back at once, uncounted."""
        return self._receiver(client, sub_queue=ServiceBusSubQueue.DEAD_LETTER if dead_letters else None)

    def next_session(self, client: ServiceBusClient, wait: float) -> ServiceBusReceiver:
        """A new receiver of the next session that is free, which opens within `wait` seconds or not at all."""
        return self._receiver(client, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=wait)

    def _receiver(self, client: ServiceBusClient, **more: Any) -> ServiceBusReceiver:  # noqa: ANN401 - the SDK's options
        if self.subscription is None:
            return client.get_queue_receiver(self.name, socket_timeout=_SOCKET_TIMEOUT, **more)
        return client.get_subscription_receiver(self.name, self.subscription, socket_timeout=_SOCKET_TIMEOUT, **more)
