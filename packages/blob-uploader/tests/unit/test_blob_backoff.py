"""Delays between attempts: doubling, bounded, spread, and never shorter than the service asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_blob_uploader._retry import Backoff


def middle() -> float:
    return 0.5


def test_delays_double_up_to_the_ceiling() -> None:
    backoff = Backoff(first=2.0)

    delays = [backoff.delay(n, chance=middle) for n in range(10)]

    assert delays == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]


@given(st.integers(0, 100_000), st.floats(0, 1, exclude_max=True))
def test_chance_spreads_a_delay_by_a_fifth_at_most(n: int, chance: float) -> None:
    backoff = Backoff(first=2.0)

    exact = backoff.delay(n, chance=middle)

    assert backoff.delay(n, chance=lambda: chance) == pytest.approx(exact, rel=0.2000001)


def test_a_longer_wait_the_service_asks_for_wins_even_above_the_ceiling() -> None:
    assert Backoff(first=2.0).delay(0, chance=middle, retry_after=900.0) == 900.0


def test_a_shorter_wait_the_service_asks_for_does_not_undercut_the_backoff() -> None:
    assert Backoff(first=2.0).delay(3, chance=middle, retry_after=1.0) == 16.0
