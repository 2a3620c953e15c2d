"""What becomes of a file that nobody writes, for anything that may stand in it."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from penstock_logging_monitor._header import Header, parse_header
from penstock_logging_monitor._names import blob_name, closed_name, current_name, is_current
from penstock_logging_monitor._scan import Action, LogFacts, decide

texts = st.text(max_size=120)
headers = st.builds(
    Header,
    app=texts,
    process=texts,
    host=texts,
    pid=st.integers(1, 2**22),
    start_ns=st.integers(0, 4 * 10**18),
    opened_ns=st.integers(0, 4 * 10**18),
    seq=st.integers(0, 10**6),
)
names = st.sampled_from(["a-w.current.log", "a-w__2026-03-01.log", "a-w__2026-03-01.0-0-0.log", "x.log"])
facts = st.builds(
    LogFacts,
    name=names,
    size=st.integers(0, 2000),
    header=st.none() | headers,
    header_size=st.integers(1, 1000),
)


@given(facts=facts, shipping=st.booleans())
def test_nothing_with_content_is_removed_but_a_header_without_records(facts: LogFacts, *, shipping: bool) -> None:
    if decide(facts, shipping=shipping) is Action.REMOVE:
        assert facts.size == 0 or (facts.header is not None and facts.size <= facts.header_size)


@given(facts=facts, shipping=st.booleans())
def test_a_file_without_our_header_is_left_alone(facts: LogFacts, *, shipping: bool) -> None:
    if facts.header is None and facts.size > 0:
        assert decide(facts, shipping=shipping) is Action.LEAVE


@given(facts=facts, shipping=st.booleans())
def test_a_dead_writers_records_are_closed_first_and_then_shipped_or_kept(facts: LogFacts, *, shipping: bool) -> None:
    if facts.header is None or facts.size <= facts.header_size:
        return
    action = decide(facts, shipping=shipping)
    if is_current(facts.name):
        assert action is Action.ADOPT
        closed = LogFacts(closed_name(facts.header, inode=1), facts.size, facts.header, facts.header_size)
        action = decide(closed, shipping=shipping)
    assert action is (Action.SHIP if shipping else Action.KEEP)


@given(header=headers)
def test_a_header_reads_back_as_it_was_written(header: Header) -> None:
    assert parse_header(header.line()) == header


@given(header=headers)
def test_names_are_harmless_whatever_the_header_says(header: Header) -> None:
    allowed = set(string.ascii_letters + string.digits + "._~+-")

    for name in (current_name(header.app, header.process), closed_name(header, inode=7)):
        assert set(name) <= allowed
        assert len(name) <= 255
    parts = blob_name(header, ".gz").split("/")
    assert [part.partition("=")[0] for part in parts[:4]] == ["app", "date", "host", "process"]
    assert len(parts) == 5


@given(one=headers, other=headers)
def test_two_files_of_a_writer_never_share_a_name(one: Header, other: Header) -> None:
    if (one.start_ns, one.seq) != (other.start_ns, other.seq):
        assert closed_name(one, inode=1) != closed_name(other, inode=1)
        assert blob_name(one) != blob_name(other)


@given(header=headers)
def test_even_two_files_with_the_same_header_never_share_a_name(header: Header) -> None:
    assert closed_name(header, inode=1) != closed_name(header, inode=2)


def test_a_header_of_an_unknown_major_version_is_not_ours_to_read() -> None:
    line = Header(app="a", process="w", host="h", start_ns=1, opened_ns=1, seq=0).line()

    assert parse_header(line.replace(b"penstock-log/1", b"penstock-log/2")) is None


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    header = Header(app="a", process="w", host="h", start_ns=1, opened_ns=1, seq=0)

    assert parse_header(header.line().replace(b"{", b'{"later":[1],', 1)) == header


def test_what_only_resembles_a_header_is_none() -> None:
    for line in (b"", b"{", b"[]", b"2026-03-01 text", b'{"schema":"penstock-log/1"}', b'{"schema":1}', b"\xff"):
        assert parse_header(line) is None
