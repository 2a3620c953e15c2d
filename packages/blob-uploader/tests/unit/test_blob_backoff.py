"""Delays between attempts: doubling, bounded, spread, and never shorter than the service asks."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_blob_uploader._client import ShortRetry
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
    assert Backoff(first=2.0).delay(0, chance=lambda: 0.0, retry_after=900.0) == 900.0


def test_callers_that_are_asked_for_the_same_wait_come_back_one_after_the_other() -> None:
    backoff = Backoff(first=2.0)

    delays = [backoff.delay(0, chance=lambda drawn=n / 10: drawn, retry_after=60.0) for n in range(10)]  # type: ignore[misc]  # a default binds

    assert delays == sorted(set(delays))
    assert delays[0] == 60.0
    assert delays[-1] == pytest.approx(70.8)


def test_a_shorter_wait_the_service_asks_for_does_not_undercut_the_backoff() -> None:
    assert Backoff(first=2.0).delay(3, chance=middle, retry_after=1.0) == 16.0


def busy(**headers: str) -> Any:
    return SimpleNamespace(status_code=503, headers=headers)


def settings_of(policy: ShortRetry) -> dict[str, Any]:
    request: Any = SimpleNamespace(http_request=SimpleNamespace(body=b"x"), context=SimpleNamespace(options={}))
    return policy.configure_retries(request)


REQUEST: Any = SimpleNamespace(method="PUT", body=b"x")


def test_the_sdk_s_own_retries_wait_as_long_as_the_service_asks() -> None:
    policy = ShortRetry()

    for _ in range(50):
        settings = settings_of(policy)
        assert policy.increment(settings, REQUEST, busy(**{"Retry-After": "4"}))
        assert 4.0 <= policy.get_backoff_time(settings) <= 5.0


def test_the_sdk_s_own_retries_give_way_when_the_service_asks_for_more_than_seconds() -> None:
    policy = ShortRetry()

    assert not policy.increment(settings_of(policy), REQUEST, busy(**{"Retry-After": "5"}))
    assert not policy.increment(settings_of(policy), REQUEST, busy(**{"x-ms-retry-after-ms": "4001"}))
