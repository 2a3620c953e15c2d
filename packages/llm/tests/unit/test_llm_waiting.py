"""How long to wait: what was told, never less, spread out; and growing when nothing was told."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_llm._waiting import delay, retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "when it suits"}, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}, 9.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=9), usegmt=True)}, 0.0),
    ],
)
def test_what_an_answer_tells(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(told=st.floats(0, 120), failures=st.integers(1, 50), draw=st.floats(0, 1))
def test_a_wait_is_never_shorter_than_told_and_at_most_a_quarter_longer(
    told: float, failures: int, draw: float
) -> None:
    assert told <= delay(told, failures, draw) <= told + max(0.25 * told, 0.25)


@given(failures=st.integers(1, 2000), draw=st.floats(0, 1))
def test_told_nothing_the_wait_doubles_up_to_eight_seconds(failures: int, draw: float) -> None:
    grown = min(8.0, 0.5 * 2 ** min(failures - 1, 10))
    assert 0.75 * grown <= delay(None, failures, draw) <= grown


def test_a_fleet_told_the_same_does_not_wake_up_together() -> None:
    assert len({delay(2.0, 1, draw / 10) for draw in range(11)}) == 11
