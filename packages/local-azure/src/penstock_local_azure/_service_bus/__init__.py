"""The local Service Bus: AMQP 1.0 on asyncio."""

from ._declarations import Queue, Subscription, Topic
from ._server import ServiceBus

__all__ = ["Queue", "ServiceBus", "Subscription", "Topic"]
