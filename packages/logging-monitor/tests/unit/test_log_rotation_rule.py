"""When a writer looks after its file, for any moments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock_logging_monitor._rotation import DAY_NS, LOOK_EVERY_NS, is_another_day, next_look_ns

moments = st.integers(min_value=0, max_value=40_000 * DAY_NS)


@given(opened=moments, now=moments)
def test_a_file_never_takes_records_of_another_utc_day(opened: int, now: int) -> None:
    assert is_another_day(opened, now) == (opened // DAY_NS != now // DAY_NS)


@given(now=moments, later=st.integers(0, 2 * LOOK_EVERY_NS))
def test_no_day_ends_and_no_second_passes_without_a_look(now: int, later: int) -> None:
    unseen = now + later < next_look_ns(now)

    assert not (unseen and is_another_day(now, now + later))
    assert not (unseen and later >= LOOK_EVERY_NS)
    assert next_look_ns(now) > now
