"""The local Service Bus: AMQP 1.0 on asyncio."""

from ._declarations import Queue
from ._server import ServiceBus

__all__ = ["Queue", "ServiceBus"]
