"""The id rule, as properties of all ids there can be."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from penstock_servicebus._identity import (
    ATTEMPT,
    ENQUEUED,
    MAX_ID_LENGTH,
    ORIGIN_ID,
    RESUBMITTED,
    Identity,
    identify,
)

ids = st.text(min_size=1, max_size=MAX_ID_LENGTH)


def origin(message_id: str | None, sequence_number: int = 7) -> Identity:
    return identify(queue="in", message_id=message_id, sequence_number=sequence_number, enqueued_ms=1000, properties={})


def as_received(copy: Identity, enqueued_ms: int = 9999) -> Identity:
    """What a handler reads from a copy that another handler sent."""
    properties: dict[str, object] = {ORIGIN_ID: copy.origin_id, ATTEMPT: copy.copies, ENQUEUED: copy.enqueued_ms}
    if copy.resubmitted:
        properties[RESUBMITTED] = copy.resubmitted
    return identify(
        queue="in", message_id=copy.message_id, sequence_number=99, enqueued_ms=enqueued_ms, properties=properties
    )


@given(ids, st.integers(1, 30))
def test_no_copy_ever_repeats_an_id_and_all_fit(message_id: str, copies: int) -> None:
    line = [origin(message_id)]
    for _ in range(copies):
        line.append(as_received(line[-1].next_copy()))

    all_ids = [identity.message_id for identity in line]
    assert len(set(all_ids)) == len(all_ids)
    assert all(len(one) <= MAX_ID_LENGTH for one in all_ids)
    assert [identity.attempt for identity in line] == list(range(copies + 1))


@given(ids, st.lists(st.booleans(), min_size=1, max_size=30))
def test_resubmissions_share_the_numbering_of_copies_and_have_all_their_attempts(
    message_id: str, resubmitted: list[bool]
) -> None:
    line = [origin(message_id)]
    attempts = [0]
    for by_hand in resubmitted:
        line.append(as_received(line[-1].resubmission() if by_hand else line[-1].next_copy()))
        attempts.append(0 if by_hand else attempts[-1] + 1)

    all_ids = [identity.message_id for identity in line]
    assert len(set(all_ids)) == len(all_ids)
    assert [identity.attempt for identity in line] == attempts
    assert {identity.origin_id for identity in line} == {message_id}
    assert line[-1].result_id(0) == line[0].result_id(0)


@given(st.integers(-5, 50), st.integers(1, 9))
def test_a_resubmission_that_cannot_have_been_is_ignored(resubmitted: int, copies: int) -> None:
    properties: dict[str, object] = {ORIGIN_ID: "a", ATTEMPT: copies, RESUBMITTED: resubmitted}

    read = identify(queue="in", message_id=f"a#r{copies}", sequence_number=1, enqueued_ms=1, properties=properties)

    assert read.attempt == (copies - resubmitted if 0 < resubmitted <= copies else copies)


@given(ids, st.integers(0, 5), st.integers(0, 10_000))
def test_results_have_the_same_id_however_often_the_work_is_done(message_id: str, copies: int, index: int) -> None:
    first = origin(message_id)
    later = first
    for _ in range(copies):
        later = as_received(later.next_copy())

    assert later.result_id(index) == first.result_id(index)
    assert later.origin_id == message_id
    assert len(later.result_id(index)) <= MAX_ID_LENGTH


@given(ids, ids, st.integers(0, 99), st.integers(0, 99))
def test_results_of_different_works_never_share_an_id(one: str, other: str, first: int, second: int) -> None:
    same_result = (one, first) == (other, second)

    assert (origin(one).result_id(first) == origin(other).result_id(second)) is same_result


@given(ids)
def test_the_first_enqueueing_travels_with_every_copy(message_id: str) -> None:
    copy = as_received(origin(message_id).next_copy(), enqueued_ms=5000)

    assert copy.enqueued_ms == 1000
    assert copy.next_copy().enqueued_ms == 1000


@given(ids, st.integers(0, 9), st.integers(0, 99))
def test_a_result_is_a_new_origin_for_the_next_stage(message_id: str, attempt: int, index: int) -> None:
    work = origin(message_id)
    result_id = work.result_id(index)
    properties: dict[str, object] = {ORIGIN_ID: message_id, ATTEMPT: attempt, ENQUEUED: 1}

    received = identify(queue="mid", message_id=result_id, sequence_number=1, enqueued_ms=2000, properties=properties)

    assert (received.origin_id, received.attempt, received.enqueued_ms) == (result_id, 0, 2000)


def test_a_message_without_an_id_is_named_by_queue_and_sequence_number() -> None:
    assert origin(None, sequence_number=42).origin_id == "in:42"
    assert origin("", sequence_number=42).origin_id == "in:42"


def test_an_id_too_long_for_a_suffix_is_replaced_by_its_digest_in_derived_ids_only() -> None:
    long = "x" * 128

    identity = origin(long)

    assert identity.message_id == identity.origin_id == long
    assert identity.result_id(0) == f"{hashlib.sha256(long.encode()).hexdigest()}/0"


def test_ids_read_as_the_design_says() -> None:
    identity = origin("order-7")

    assert identity.next_copy().message_id == "order-7#r1"
    assert as_received(identity.next_copy()).next_copy().message_id == "order-7#r2"
    assert identity.result_id(3) == "order-7/3"
