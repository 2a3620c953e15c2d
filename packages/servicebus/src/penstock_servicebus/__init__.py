"""An Azure Service Bus worker: receive, work, send on, settle."""

from penstock_servicebus._breaker import BreakerStatus
from penstock_servicebus._connection import open_client
from penstock_servicebus._context import MessageContext, Session, Times, message_id, trace_id
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
from penstock_servicebus._result import PropertyValue, Result
from penstock_servicebus._statistics import HandlerStatistics
from penstock_servicebus._trace import TraceContext

__all__ = [
    "AsyncServiceBusHandler",
    "BreakerStatus",
    "ConfigurationError",
    "HandlerStatistics",
    "HandlingTimeExceeded",
    "LockLost",
    "MessageContext",
    "ProcessorCancelled",
    "PropertyValue",
    "Result",
    "ServiceBusHandlerError",
    "ServiceBusUnavailable",
    "Session",
    "Times",
    "TraceContext",
    "UndecodableMessage",
    "UnsendableResult",
    "message_id",
    "open_client",
    "trace_id",
]
