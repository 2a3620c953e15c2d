"""The local Service Bus: AMQP 1.0 on asyncio."""

from ._declarations import Queue, Subscription, Topic
from ._faults import CloseConnection, DeliverAgain, DetachLink, LoseAnswer, Refuse, SlowAnswer, StallConnection
from ._server import ServiceBus

__all__ = [
    "CloseConnection",
    "DeliverAgain",
    "DetachLink",
    "LoseAnswer",
    "Queue",
    "Refuse",
    "ServiceBus",
    "SlowAnswer",
    "StallConnection",
    "Subscription",
    "Topic",
]
