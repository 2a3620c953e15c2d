"""What counters tell each other is read as it was written, and what a later version adds is ignored."""

from __future__ import annotations

import math
from typing import get_args

import orjson
from hypothesis import given
from hypothesis import strategies as st

from penstock_token_client.accounting import Charge, Lesson, Order, Place, RateLimit, State, Terms, Turns, Usage
from penstock_token_counter._words import Entry, Granted, InForce, Reported, entry_bytes, read_entry

COUNTS = st.integers(0, 2**53)
TIMES = st.floats(0, 1e12)
NEVER_OR_TIMES = st.just(-math.inf) | TIMES
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ORDERS = st.builds(Order, app=TEXTS, tokens=COUNTS, max_tokens=COUNTS, requests=COUNTS, key=st.none() | TEXTS)
CHARGES = st.builds(
    Charge,
    id=st.from_regex(r"[0-9a-f]{8}-[0-9]{1,9}", fullmatch=True),
    order=ORDERS,
    at=TIMES,
    state=st.sampled_from(get_args(State)),
    used=st.none() | COUNTS,
    exact=st.booleans(),
)
PLACES = st.builds(Place, TEXTS, ORDERS, since=TIMES, absent_since=st.none() | TIMES, home=TEXTS, gone=st.booleans())
REPORTED = st.builds(
    Reported,
    TEXTS,
    st.builds(
        Usage,
        COUNTS,
        COUNTS,
        st.sampled_from(["ok", "429", "error", "truncated"]),
        st.builds(RateLimit, limit_tokens=st.none() | COUNTS, retry_after_ms=st.none() | COUNTS),
    ),
)
TERMS = st.builds(
    Terms,
    tpm=COUNTS,
    rpm=COUNTS,
    span=TIMES,
    burst=COUNTS,
    pace=TIMES,
    prompt_rate=TIMES,
    paused_until=NEVER_OR_TIMES,
)
TURNS = st.builds(
    Turns,
    st.none() | TEXTS,
    NEVER_OR_TIMES,
    TIMES,
    st.dictionaries(TEXTS, TIMES, max_size=3),
    st.tuples(COUNTS, COUNTS),
)
LESSONS = st.builds(
    Lesson,
    bias=TIMES,
    unaccounted=COUNTS,
    tpm=COUNTS,
    tpm_until=NEVER_OR_TIMES,
    paused_until=NEVER_OR_TIMES,
    distances=st.lists(st.tuples(TIMES, TIMES), max_size=3).map(tuple),
    doubted_until=NEVER_OR_TIMES,
    gone_until=NEVER_OR_TIMES,
)
IN_FORCE = st.builds(InForce, TERMS, TIMES)
WORDS = st.one_of(CHARGES, PLACES, st.builds(Granted), REPORTED, IN_FORCE, TURNS, LESSONS)
ENTRIES = st.builds(Entry, TIMES, TEXTS, st.lists(WORDS, max_size=4))


@given(entry=ENTRIES)
def test_an_entry_reads_as_it_was_written(entry: Entry) -> None:
    assert read_entry(entry_bytes(entry)) == entry


@given(entry=ENTRIES)
def test_what_a_later_version_adds_is_ignored(entry: Entry) -> None:
    written = orjson.loads(entry_bytes(entry))
    for word in written["words"]:
        for part in word:
            if isinstance(part, dict) and word[0] != "turns":
                part["news"] = 1
            elif isinstance(part, list) and word[0] in ("charge", "place"):
                part.append("news")
        word.append("news")
    written["words"].insert(0, ["news", {"of": "the next version"}])
    written["news"] = None

    assert read_entry(orjson.dumps(written)) == entry
