"""The window test measures what it says, and tells the limiters apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from simulation_windows import anchored_window, busiest, most_in_a_minute, our_ledger


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), max_size=40))
def test_the_busiest_window_is_the_busiest_of_all(grants: list[tuple[int, int]]) -> None:
    grants.sort()

    brute = max((sum(tokens for at, tokens in grants if end - 60 < at <= end) for end in range(261)), default=0)

    assert busiest([(float(at), tokens) for at, tokens in grants]) == brute


def test_a_window_from_its_first_hit_lets_two_limits_pass_at_once() -> None:
    assert 1.95 < most_in_a_minute(anchored_window()) <= 2.0


def test_ours_never_does() -> None:
    assert 0.98 < most_in_a_minute(our_ledger()) <= 1.0
