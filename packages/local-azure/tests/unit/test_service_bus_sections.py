"""Messages: the broker reads and writes its own parts and leaves the sender's as they are, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_local_azure._service_bus._decode import DecodeError, decode
from penstock_local_azure._service_bus._encode import described, encode
from penstock_local_azure._service_bus._entries import Entry
from penstock_local_azure._service_bus._marks import write_marked
from penstock_local_azure._service_bus._raw_map import RawMap
from penstock_local_azure._service_bus._sections import (
    APPLICATION_PROPERTIES,
    DATA,
    FOOTER,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    VALUE,
    read_batch,
    read_message,
    split_sections,
)
from penstock_local_azure._service_bus._types import Opaque, Symbol, Timestamp, UByte, UInt, Value

HEADER_SECTION = described(HEADER, encode([True, UByte(7), UInt(5000), None, UInt(9)]))
PROPERTIES_SECTION = described(PROPERTIES, encode(["id", None, "to", Opaque(0x94, bytes(16))]))
APPLICATION_SECTION = described(APPLICATION_PROPERTIES, encode({"a": Opaque(0x74, bytes(4)), "b": UInt(300)}))
BODY = described(DATA, encode(b"one")) + described(DATA, encode(b"two")) + described(FOOTER, encode({}))


def _sections(payload: bytes) -> dict[int, Value]:
    return {section.code: decode(payload, section.value)[0] for section in split_sections(payload)}


def _annotated(**annotations: Value) -> bytes:
    return described(
        MESSAGE_ANNOTATIONS, encode({Symbol(f"x-opt-{k}".replace("_", "-")): v for k, v in annotations.items()})
    )


def test_the_bare_message_passes_byte_for_byte() -> None:
    payload = HEADER_SECTION + PROPERTIES_SECTION + APPLICATION_SECTION + BODY

    written = write_marked(Entry(1, read_message(payload), enqueued_at=0))

    assert written.endswith(PROPERTIES_SECTION + APPLICATION_SECTION + BODY)


def test_the_header_keeps_the_senders_fields_and_counts_our_deliveries() -> None:
    entry = Entry(1, read_message(HEADER_SECTION + BODY), enqueued_at=0, delivery_count=3)

    assert _sections(write_marked(entry))[HEADER] == [True, 7, 5000, None, 3]


def test_a_message_without_a_header_gets_one() -> None:
    assert _sections(write_marked(Entry(1, read_message(BODY), enqueued_at=0)))[HEADER] == [None] * 4 + [0]


def test_the_brokers_marks_replace_what_a_sender_forged_and_leave_the_rest() -> None:
    payload = _annotated(sequence_number=99, locked_until=Timestamp(1), partition_key="p") + BODY
    entry = Entry(7, read_message(payload), enqueued_at=1000, source="queue")

    written = write_marked(entry, locked_until=2000)

    assert written.count(b"x-opt-sequence-number") == 1
    assert _sections(written)[MESSAGE_ANNOTATIONS] == {
        "x-opt-partition-key": "p",
        "x-opt-enqueued-time": 1000,
        "x-opt-sequence-number": 7,
        "x-opt-locked-until": 2000,
        "x-opt-deadletter-source": "queue",
    }


def test_what_the_broker_needs_is_read() -> None:
    properties = described(PROPERTIES, encode(["id", *[None] * 9, "group"]))
    message = read_message(HEADER_SECTION + _annotated(scheduled_enqueue_time=Timestamp(123)) + properties + BODY)

    assert (message.message_id, message.session_id, message.scheduled_for) == ("id", "group", 123)
    assert message.time_to_live == 5000


@pytest.mark.parametrize("ttl", [None, UInt(0), "long"])
def test_no_time_to_live_is_no_wish(ttl: Value) -> None:
    header = described(HEADER, encode([None, None, ttl]))

    assert read_message(header + BODY).time_to_live is None


def test_a_shorter_life_is_told_in_the_header_and_nowhere_else() -> None:
    message = read_message(HEADER_SECTION + PROPERTIES_SECTION + BODY).with_time_to_live(1000)

    written = write_marked(Entry(1, message, enqueued_at=0))

    assert _sections(written)[HEADER] == [True, 7, 1000, None, 0]
    assert written.endswith(PROPERTIES_SECTION + BODY)


def test_a_scheduled_time_that_is_no_timestamp_is_no_wish() -> None:
    assert read_message(_annotated(scheduled_enqueue_time="soon") + BODY).scheduled_for is None


def test_application_properties_are_replaced_key_by_key() -> None:
    message = read_message(APPLICATION_SECTION + BODY).with_application_properties({"b": "new", "c": "more"})

    read = _sections(write_marked(Entry(1, message, enqueued_at=0)))[APPLICATION_PROPERTIES]

    assert read == {"a": Opaque(0x74, bytes(4)), "b": "new", "c": "more"}


def test_a_batch_holds_one_message_in_each_data_section() -> None:
    inner = [PROPERTIES_SECTION + BODY, described(VALUE, encode("x"))]
    batch = PROPERTIES_SECTION + b"".join(described(DATA, encode(message)) for message in inner)

    assert [message.message_id for message in read_batch(batch)] == ["id", None]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x40",
        described(0x10, encode([])),
        described(MESSAGE_ANNOTATIONS, encode([])),
        described(PROPERTIES, encode("text"))[:-2],
        described(APPLICATION_PROPERTIES, b"\xc1\x04\x02\xa1\x01a"),
        described(APPLICATION_PROPERTIES, b"\xc1\x05\x04\xa1\x01a\x40"),
        described(APPLICATION_PROPERTIES, encode({7: "not a name"})),
    ],
)
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        read_message(payload)


def test_a_batch_of_anything_but_binaries_is_refused() -> None:
    with pytest.raises(DecodeError):
        read_batch(described(DATA, encode("text")))


ENTRIES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2), st.integers(0, 2**40) | st.text(max_size=5), max_size=8
)


@given(ENTRIES, st.sets(st.text("abcdef", min_size=1, max_size=2)))
def test_a_raw_map_loses_exactly_the_keys_named(entries: dict[str, Value], keys: set[str]) -> None:
    raw = RawMap.of(encode(entries), 0).without(keys)

    left = {key: value for key, value in entries.items() if key not in keys}
    assert _sections(raw.encoded(0x74)) == ({0x74: left} if left else {})
    assert all(raw.get(key) == left.get(key) for key in entries)
