import math
import zlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_token_client.accounting import Charge, Lesson, Order, State
from penstock_token_counter._records import (
    Batch,
    Entry,
    JournalError,
    Moment,
    batch_line,
    header_line,
    read_batch,
    read_header,
)
from penstock_token_counter._replay import read_history

HEADER = header_line({"completion": 60.25})
COUNTS = st.integers(0, 2**60)
TIMES = st.floats(0, 1e12)
CHARGES = st.builds(
    Charge,
    id=st.from_regex(r"[0-9a-f]{8}-[0-9]{1,9}", fullmatch=True),
    order=st.builds(Order, app=st.text(), tokens=COUNTS, max_tokens=COUNTS, requests=COUNTS, key=st.none() | st.text()),
    at=TIMES,
    state=st.sampled_from(get_args(State)),
    used=st.none() | COUNTS,
    exact=st.booleans(),
)
NEVER_OR_TIMES = st.just(-math.inf) | TIMES
LESSONS = st.builds(
    Lesson, bias=TIMES, unaccounted=COUNTS, tpm=COUNTS, tpm_until=NEVER_OR_TIMES, paused_until=NEVER_OR_TIMES
)
BATCHES = st.builds(
    Batch,
    st.builds(Moment, TIMES, TIMES),
    st.lists(st.builds(Entry, st.text(), CHARGES), max_size=3).map(tuple),
    st.dictionaries(st.text(), LESSONS, max_size=2),
)


def line(batch: Batch) -> bytes:
    return batch_line(batch.moment, batch.entries, batch.lessons)


def framed(body: bytes) -> bytes:
    return b"%08x %08x %b\n" % (len(body), zlib.crc32(body), body)


@given(batch=BATCHES)
def test_a_batch_is_one_line_and_reads_as_it_was_written(batch: Batch) -> None:
    assert line(batch).index(b"\n") == len(line(batch)) - 1
    assert read_batch(line(batch)[:-1]) == batch


@given(batch=BATCHES, data=st.data())
def test_a_batch_of_which_anything_is_missing_is_torn(batch: Batch, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(line(batch)) - 2))

    assert read_batch(line(batch)[:cut]) is None


@given(batch=BATCHES, data=st.data())
def test_a_batch_with_a_changed_byte_is_torn(batch: Batch, data: st.DataObject) -> None:
    changed = bytearray(line(batch)[:-1])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))

    assert read_batch(bytes(changed)) is None


def test_fields_of_a_newer_minor_version_are_ignored() -> None:
    assert read_header(framed(b'{"format":"penstock-token-journal","v":1,"pools":{"a":1.5},"more":[1]}')[:-1]) == {
        "a": 1.5
    }


def test_an_unknown_major_version_is_refused_by_name() -> None:
    with pytest.raises(JournalError, match="of version 2, and this token counter reads version 1"):
        read_history(framed(b'{"format":"penstock-token-journal","v":2}'))


@pytest.mark.parametrize("data", [b"dear diary\n", framed(b'{"format":"other"}'), HEADER.replace(b"60", b"61")])
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    with pytest.raises(JournalError, match="no journal of a token counter") as refusal:
        read_history(data)

    assert refusal.value.permanent


@pytest.mark.parametrize("data", [b"", HEADER[:20], HEADER[:-1]])
def test_a_journal_without_a_whole_header_tells_nothing(data: bytes) -> None:
    assert not read_history(data).covers("completion", 60.25)


def test_a_torn_end_is_cut_off_and_damage_before_the_end_is_noticed() -> None:
    batches = [batch_line(Moment(float(n), float(n)), ()) for n in range(3)]
    torn = batches[1].replace(b"1.0", b"7.0")

    assert read_history(HEADER + batches[0] + torn).covers("completion", 60.25)
    assert read_history(HEADER + batches[0] + bytes(500)).moment == Moment(0.0, 0.0)
    assert not read_history(HEADER + batches[0] + torn + batches[2]).covers("completion", 60.25)


def test_a_pool_that_kept_its_charges_for_less_than_now_asked_is_not_covered() -> None:
    history = read_history(HEADER + batch_line(Moment(0.0, 0.0), ()))

    assert history.covers("completion", 60.25)
    assert not history.covers("completion", 61.0)
    assert not history.covers("embedding", 1.0)
