"""What a processor may know about its message, and what anything that runs for it may ask."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from penstock_servicebus._trace import TraceContext, begin_trace

message_id: ContextVar[str] = ContextVar("message_id", default="")
"""Id of the message being worked on; empty outside of any work."""

trace_id: ContextVar[str] = ContextVar("trace_id", default="")
"""Trace id of the message being worked on; empty outside of any work."""


class Session(Protocol):
    """What is kept with the session a message belongs to."""

    async def get_state(self) -> bytes | None:
        """What was last kept with the session; None if nothing was.

        Raises:
            ServiceBusUnavailable: The broker cannot be asked now.
            LockLost: The session is somebody else's by now.
        """

    async def set_state(self, state: bytes | str | None) -> None:
        """Keep something with the session, at once and whatever becomes of the message; None forgets it.

        Raises:
            ServiceBusUnavailable: The broker cannot be told now.
            LockLost: The session is somebody else's by now.
        """


@dataclass(slots=True)
class Times:
    """Where the time of one message went, in seconds; the processor adds what it knows, the log line shows it."""

    quota_wait: float = 0.0
    """Waiting for quota."""

    model_time: float = 0.0
    """Waiting for a model's answers."""


def _no_lock() -> datetime | None:
    return None


def _no_limit() -> float:
    return float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContext:
    """The facts about one message; also made by hand, in tests of a processor.

    Attributes:
        message_id: Id of this very message; derived from its sequence number if the sender gave none.
        origin_id: Id of the message that all retry copies of this work descend from.
        attempt: 1 for the first.
        delivery_count: Deliveries of this very message that failed before.
        enqueued_at: When it was enqueued.
        correlation_id: As the sender wrote it.
        subject: As the sender wrote it.
        properties: The application properties; text is `str` (and binary that can be read as text:
            the SDK does not tell them apart), a timestamp whole milliseconds since 1970.
        session_id: The session it belongs to, as the sender wrote it.
        session: What is kept with that session; None where the handler was not told `sessions=True`.
        trace: The trace it belongs to; results and copies carry it on.
        times: For the processor to add to.
    """

    message_id: str
    origin_id: str
    attempt: int = 1
    delivery_count: int = 0
    enqueued_at: datetime | None = None
    correlation_id: str | None = None
    subject: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict, repr=False)
    session_id: str | None = None
    session: Session | None = field(default=None, repr=False)
    trace: TraceContext = field(default_factory=lambda: begin_trace(random.random))
    times: Times = field(default_factory=Times)
    _locked_until: Callable[[], datetime | None] = field(default=_no_lock, repr=False)
    _handling_time_left: Callable[[], float] = field(default=_no_limit, repr=False)

    @property
    def locked_until(self) -> datetime | None:
        """When the lock ends unless it is renewed, as it is until `handling_time_left` is 0; None if there is none."""
        return self._locked_until()

    @property
    def handling_time_left(self) -> float:
        """Seconds until the handler gives this message up."""
        return max(self._handling_time_left(), 0.0)


@contextmanager
def working_on(context: MessageContext) -> Iterator[None]:
    """Have the context variables say which message is worked on."""
    tokens = message_id.set(context.message_id), trace_id.set(context.trace.trace_id)
    try:
        yield
    finally:
        message_id.reset(tokens[0])
        trace_id.reset(tokens[1])
