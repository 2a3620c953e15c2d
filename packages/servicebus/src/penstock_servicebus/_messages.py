"""Between the SDK's messages and this package's identities and payloads."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

from penstock_servicebus._encoding import Payload, encode_results
from penstock_servicebus._errors import UndecodableMessage
from penstock_servicebus._identity import ATTEMPT, ENQUEUED, MAX_ID_LENGTH, ORIGIN_ID, RESUBMITTED, Identity, identify
from penstock_servicebus._trace import TRACE_PROPERTIES, TraceContext

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT32 = 2**31
_INT64 = 2**63
_DEAD_LETTER = frozenset(("DeadLetterReason", "DeadLetterErrorDescription"))  # what the broker writes on dead letters


def identity_of(message: ServiceBusReceivedMessage, queue: str) -> Identity:
    """Who a received message is."""
    message_id = message.message_id  # read once: the SDK looks through all properties each time
    return identify(
        queue=queue,
        message_id=None if message_id is None else str(message_id),
        sequence_number=message.sequence_number,
        enqueued_ms=_milliseconds(message.enqueued_time_utc),
        properties=properties_of(message),
    )


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """A message's body: data sections joined, or a text or binary value as other senders write it.

    Raises:
        UndecodableMessage: The body is an AMQP value or sequence of another type.
    """
    body: Any = message.body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes):
        return body
    if body is None:
        return b""
    if isinstance(body, Iterable) and not isinstance(body, dict):
        sections = [section.encode() if isinstance(section, str) else section for section in body]
        if all(isinstance(section, bytes) for section in sections):
            return b"".join(sections)
    raise UndecodableMessage("text or bytes", f"it is an AMQP {type(body).__name__}")


def messages_by_hand(body: Any, message_id: str | None) -> list[ServiceBusMessage]:  # noqa: ANN401 - as a result
    """Messages that descend from none, of what a processor could return.

    Raises:
        UnsendableResult: It cannot be a message.
    """
    stem = message_id or uuid.uuid4().hex
    payloads = encode_results(body)
    if not isinstance(body, list | tuple):
        return [_message(payload, message_id or payload.message_id or stem) for payload in payloads]
    return [_message(payload, payload.message_id or f"{stem}/{index}") for index, payload in enumerate(payloads)]


def _message(payload: Payload, message_id: str) -> ServiceBusMessage:
    """A message under an id."""
    return ServiceBusMessage(
        payload.body,
        message_id=message_id,
        session_id=payload.session_id,
        content_type=payload.content_type,
        subject=payload.subject,
        application_properties={key: _sendable(value) for key, value in payload.properties.items()},
    )


def result_message(
    payload: Payload, identity: Identity, index: int, trace: TraceContext, session_id: str | None
) -> ServiceBusMessage:
    """Result number `index` of the work that `identity` names; in that work's session, unless it names another."""
    message = _message(payload, payload.message_id or identity.result_id(index))
    message.session_id = payload.session_id or session_id
    message.correlation_id = identity.origin_id[:MAX_ID_LENGTH]
    # What the processor set is nearer to it than the trace it was called in.
    chosen = TRACE_PROPERTIES.isdisjoint(payload.properties)
    message.application_properties = (
        (message.application_properties or {}) | (_traced(trace) if chosen else {}) | _own_properties(identity)
    )
    return message


def retry_copy(
    message: ServiceBusReceivedMessage, identity: Identity, due: datetime, trace: TraceContext
) -> ServiceBusMessage:
    """The same work once more, in the same trace, visible from `due` on, under the next copy's id."""
    copy = _copy(message, identity.next_copy())
    copy.application_properties = (copy.application_properties or {}) | _traced(trace)
    copy.scheduled_enqueue_time_utc = due
    copy.time_to_live = _remaining_life(message, due)
    return copy


def resubmission(message: ServiceBusReceivedMessage, identity: Identity) -> ServiceBusMessage:
    """A dead letter's work once more, with all its attempts, under the next copy's id.

    Sent again before the dead letter is completed it has the same id again, so that duplicate detection removes it.
    It has no life of its own: an old one would be over before anybody sees the message.

    Raises:
        UndecodableMessage: The body is not text or bytes.
    """
    copy = _copy(message, identity.resubmission())
    copy.session_id = message.session_id
    return copy


def _copy(message: ServiceBusReceivedMessage, identity: Identity) -> ServiceBusMessage:
    """A message with the same content and the sender's properties under another identity."""
    return ServiceBusMessage(
        body_of(message),
        message_id=identity.message_id,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        subject=message.subject,
        partition_key=message.partition_key,
        to=message.to,
        reply_to=message.reply_to,
        reply_to_session_id=message.reply_to_session_id,
        application_properties=_senders_properties(message) | _own_properties(identity),
    )


def _senders_properties(message: ServiceBusReceivedMessage) -> dict[str | bytes, Any]:
    """Application properties that a copy takes along: neither another identity nor the marks of a dead letter."""
    ours = {ORIGIN_ID, ATTEMPT, ENQUEUED, RESUBMITTED}
    properties = properties_of(message)
    return {key: _sendable(value) for key, value in properties.items() if key not in ours | _DEAD_LETTER}


def _traced(trace: TraceContext) -> dict[str | bytes, Any]:
    """The properties that carry a trace."""
    return {name: _typed("STRING", value) for name, value in trace.properties().items()}


def _own_properties(identity: Identity) -> dict[str | bytes, Any]:
    """The properties that carry an identity."""
    properties: dict[str | bytes, Any] = {
        ORIGIN_ID: _typed("STRING", identity.origin_id),
        ATTEMPT: _typed("INT", identity.copies),
    }
    if identity.resubmitted:
        properties[RESUBMITTED] = _typed("INT", identity.resubmitted)
    if identity.enqueued_ms is not None:
        # A timestamp, because readers get one as an int, but an int beyond 32 bits only from some senders.
        properties[ENQUEUED] = _typed("TIMESTAMP", identity.enqueued_ms)
    return properties


def _typed(kind: str, value: object) -> dict[str, object]:
    """A value with its AMQP type, which spares the SDK most of the time it takes to find out."""
    return {"TYPE": kind, "VALUE": value}


def properties_of(message: ServiceBusReceivedMessage) -> dict[str, object]:
    """Application properties as the sender wrote them; the SDK hands out keys and strings as bytes."""
    properties = message.application_properties or {}
    return {str(_text(key)): _text(value) for key, value in properties.items()}


def _text(value: object) -> object:
    """Bytes as text where they are text."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _sendable(value: object) -> Any:  # noqa: ANN401 - any of AMQP's simple types
    """A received property in a form the SDK can write again.

    It takes every int for one of 32 bits and all bytes for text, unless their AMQP type is named.
    """
    if isinstance(value, bytes):
        return _typed("BINARY", value)
    if isinstance(value, int) and not -_INT32 <= value < _INT32:
        return _typed("LONG" if value < _INT64 else "ULONG", value)
    return value


def _remaining_life(message: ServiceBusReceivedMessage, due: datetime) -> timedelta | None:
    """What is left of a limited life once the copy is visible, and at least a second so that it is seen at all."""
    if message.expires_at_utc is None:
        return None
    return max(message.expires_at_utc - due, timedelta(seconds=1))


def _milliseconds(moment: datetime | None) -> int | None:
    """Milliseconds since the Unix epoch."""
    return None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)
