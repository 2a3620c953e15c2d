"""The public types, as a type checker must see them; never run."""

from typing import Any, assert_type

from penstock_token_client import (
    LocalQuota,
    Lock,
    Quota,
    Reservation,
    TokenClient,
    Unlimited,
    with_token_limit_retry,
    with_token_limit_retry_decorator,
)
from penstock_token_client.testing import Asked, FakeCounter, Reported


async def use(quota: Quota) -> int:
    lock = await quota.lock_tokens(1)
    assert_type(lock, Lock)
    allowed, request_id, error = lock
    assert_type(allowed, bool)
    assert_type(request_id, str | None)
    assert_type(error, str | None)
    assert_type(lock.retry_after, float | None)
    async with quota.reserve(2, max_tokens=1, deadline=None) as reservation:
        assert_type(reservation, Reservation)
        assert_type(await reservation.report(prompt_tokens=1, completion_tokens=1, headers={}, status="ok"), bool)
    assert_type(await quota.get_status(), dict[str, Any] | None)
    return 7


async def every_quota_is_one() -> None:
    assert_type(await use(TokenClient("app", "http://localhost:8001", pool="completion")), int)
    assert_type(await use(LocalQuota(tpm=1, rpm=1)), int)
    assert_type(await use(Unlimited()), int)


async def a_fake_is_a_quota_that_remembers() -> None:
    counter = FakeCounter("app", pool="completion")
    assert_type(await use(counter), int)
    assert_type(counter.reservations, list[Asked])
    assert_type(counter.reports, list[Reported])
    assert_type(counter.releases, list[str])


async def retrying(quota: Quota) -> None:
    assert_type(await with_token_limit_retry(use, quota, quota, max_retries=1), int)
    assert_type(await with_token_limit_retry_decorator(quota)(use)(quota), int)
