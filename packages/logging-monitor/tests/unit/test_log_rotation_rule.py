"""When a file is full, for any sizes and moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_logging_monitor._rotation import DAY_NS, RotationRule

sizes = st.integers(min_value=0, max_value=10_000)
moments = st.integers(min_value=0, max_value=40_000 * DAY_NS)


@given(limit=st.integers(1, 10_000), header=st.integers(1, 500), records=st.lists(st.integers(1, 3_000)))
def test_no_file_exceeds_the_limit_but_for_a_single_record_that_does(
    limit: int, header: int, records: list[int]
) -> None:
    rule = RotationRule(limit)
    files: list[list[int]] = [[]]

    for incoming in records:
        size = header + sum(files[-1])
        due = rule.is_due(opened_ns=0, now_ns=0, size=size, has_records=bool(files[-1]), incoming=incoming)
        if due:
            files.append([])
        files[-1].append(incoming)

    assert all(header + sum(file) <= limit for file in files if len(file) > 1)
    assert all(file for file in files if records)
    assert [record for file in files for record in file] == records


@given(opened=moments, now=moments)
def test_a_file_never_holds_records_of_two_utc_days(opened: int, now: int) -> None:
    rule = RotationRule(10_000)

    due = rule.is_due(opened_ns=opened, now_ns=now, size=100, has_records=True, incoming=10)

    assert due == (opened // DAY_NS != now // DAY_NS)


def test_a_limit_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes must be at least 1, not 0"):
        RotationRule(0)
