"""An Azure Service Bus worker: receive, work, send on, settle."""

from penstock_servicebus._breaker import BreakerStatus
from penstock_servicebus._connection import open_client
from penstock_servicebus._errors import (
    ConfigurationError,
    HandlingTimeExceeded,
    LockLost,
    ProcessorCancelled,
    ServiceBusHandlerError,
    ServiceBusUnavailable,
    UndecodableMessage,
    UnsendableResult,
)
from penstock_servicebus._handler import AsyncServiceBusHandler
from penstock_servicebus._statistics import HandlerStatistics

__all__ = [
    "AsyncServiceBusHandler",
    "BreakerStatus",
    "ConfigurationError",
    "HandlerStatistics",
    "HandlingTimeExceeded",
    "LockLost",
    "ProcessorCancelled",
    "ServiceBusHandlerError",
    "ServiceBusUnavailable",
    "UndecodableMessage",
    "UnsendableResult",
    "open_client",
]
