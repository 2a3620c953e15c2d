"""Bodies, copies and results, checked after a trip through the SDK's own encoding."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.amqp import AmqpAnnotatedMessage

from penstock_servicebus import TraceContext, UndecodableMessage
from penstock_servicebus._encoding import Payload
from penstock_servicebus._identity import Identity
from penstock_servicebus._messages import body_of, identity_of, result_message, retry_copy

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRACE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01")


def received(message: ServiceBusMessage | AmqpAnnotatedMessage, **annotations: Any) -> ServiceBusReceivedMessage:
    """The message as a receiver would see it."""
    raw = message.raw_amqp_message if isinstance(message, ServiceBusMessage) else message
    stamps: dict[str | bytes, Any] = dict(annotations.items())
    raw.annotations = (raw.annotations or {}) | stamps
    output = bytearray()
    encode_payload(output, PyamqpTransport.to_outgoing_amqp_message(raw))
    return ServiceBusReceivedMessage.from_bytes(bytes(output))


def as_another_sdk_writes(value: Any) -> Any:
    """The same value with its AMQP type, where this SDK would write another or none."""
    if isinstance(value, bytes):
        return {"TYPE": "BINARY", "VALUE": value}
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        return {"TYPE": "LONG" if value < 2**63 else "ULONG", "VALUE": value}
    return value


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (ServiceBusMessage("¿qué?"), "¿qué?".encode()),
        (ServiceBusMessage(b"\xff\x00"), b"\xff\x00"),
        (ServiceBusMessage(""), b""),
        (ServiceBusMessage(None), b""),
        (AmqpAnnotatedMessage(data_body=[b"two ", b"sections"]), b"two sections"),
        (AmqpAnnotatedMessage(value_body="a text value"), b"a text value"),
    ],
)
def test_a_body_is_bytes_whatever_section_carries_it(message: Any, body: bytes) -> None:
    assert body_of(received(message)) == body


@pytest.mark.parametrize("value", [{"CANARY": 1}, 7])
def test_an_amqp_value_of_another_type_is_undecodable(value: Any) -> None:
    with pytest.raises(UndecodableMessage, match="body is not text or bytes: it is an AMQP") as caught:
        body_of(received(AmqpAnnotatedMessage(value_body=value)))

    assert "CANARY" not in str(caught.value)


def test_an_identity_is_read_from_what_the_broker_stamps() -> None:
    message = received(
        AmqpAnnotatedMessage(data_body=b"x"), **{"x-opt-sequence-number": 5, "x-opt-enqueued-time": NOON}
    )

    assert identity_of(message, "in") == Identity("in:5", "in:5", 0, int(NOON.timestamp() * 1000))


@pytest.mark.parametrize(
    "value",
    [1, -(2**31), 2**31, 2**40, -(2**63), 2**63 - 1, 2**64 - 1, 1.5, True, None, "text", b"\xff", uuid.UUID(int=3)],
)
def test_a_copy_carries_every_property_also_numbers_the_sdk_cannot_write(value: Any) -> None:
    properties: Any = {"p": as_another_sdk_writes(value)}
    original = received(ServiceBusMessage("x", message_id="m", application_properties=properties))

    copy = received(retry_copy(original, identity_of(original, "in"), NOON, TRACE))

    assert copy.application_properties is not None
    found = copy.application_properties[b"p"]
    assert found == (value.encode() if isinstance(value, str) else value)


def test_a_copy_is_the_original_with_the_next_id_and_a_later_time() -> None:
    original = received(
        ServiceBusMessage(
            b"\x00body",
            message_id="m",
            content_type="application/json",
            correlation_id="c",
            subject="s",
            to="t",
            reply_to="r",
            partition_key="k",
        ),
        **{"x-opt-enqueued-time": NOON},
    )

    copy = received(retry_copy(original, identity_of(original, "in"), NOON + timedelta(minutes=5), TRACE))

    assert (copy.message_id, body_of(copy)) == ("m#r1", b"\x00body")
    assert (copy.content_type, copy.correlation_id, copy.subject) == ("application/json", "c", "s")
    assert (copy.to, copy.reply_to, copy.partition_key) == ("t", "r", "k")
    assert copy.scheduled_enqueue_time_utc == NOON + timedelta(minutes=5)
    assert copy.time_to_live is None
    assert identity_of(copy, "in") == Identity("m#r1", "m", 1, int(NOON.timestamp() * 1000))


@pytest.mark.parametrize(("due_in", "left"), [(10, 50), (90, 1)])
def test_a_copy_lives_no_longer_than_the_original_would_have(due_in: int, left: int) -> None:
    original = received(
        ServiceBusMessage("x", message_id="m", time_to_live=timedelta(seconds=60)), **{"x-opt-enqueued-time": NOON}
    )

    copy = retry_copy(original, identity_of(original, "in"), NOON + timedelta(seconds=due_in), TRACE)

    assert copy.time_to_live == timedelta(seconds=left)


def test_a_result_names_its_origin_exactly_to_the_millisecond() -> None:
    identity = Identity("o#r2", "o", 2, 1_763_812_800_123)

    result = received(result_message(Payload(b"{}", "application/json"), identity, 3, TRACE, "s"))

    assert (result.message_id, result.correlation_id, result.content_type) == ("o/3", "o", "application/json")
    assert result.application_properties == {
        b"penstock-origin-id": b"o",
        b"penstock-attempt": 2,
        b"penstock-enqueued": 1_763_812_800_123,
        b"traceparent": TRACE.traceparent.encode(),
        b"Diagnostic-Id": TRACE.traceparent.encode(),
    }
