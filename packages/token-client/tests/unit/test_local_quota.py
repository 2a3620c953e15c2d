from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from penstock_token_client import LocalQuota, QuotaError, TokenLimitExceeded, Unlimited

if TYPE_CHECKING:
    from penstock_token_client import Quota

WINDOW = 0.4


@pytest.fixture(params=["local", "unlimited"])
async def quota(request: pytest.FixtureRequest) -> Quota:
    return LocalQuota(tpm=1000, rpm=600) if request.param == "local" else Unlimited()


async def test_every_quota_reserves_reports_and_releases(quota: Quota) -> None:
    async with quota.reserve(10, max_tokens=5) as reservation:
        assert await reservation.report(prompt_tokens=1, completion_tokens=2)
    async with quota.reserve(10) as reservation:
        assert await reservation.release()
    await quota.aclose()

    assert reservation.waited < 5
    assert reservation.suggested_max_tokens is None


async def test_every_quota_locks_reports_and_releases(quota: Quota) -> None:
    lock = await quota.lock_tokens(10)

    assert lock.allowed
    assert await quota.report_usage(str(lock.request_id), 1, 1)
    assert not await quota.report_usage(str(lock.request_id), -1, 1)
    assert await quota.release_tokens(str(lock.request_id))
    assert not await quota.release_tokens("")
    assert (await quota.lock_tokens(-1)).code == "invalid"


async def test_every_quota_refuses_bad_arguments_by_name(quota: Quota) -> None:
    with pytest.raises(ValueError, match="token_count"):
        async with quota.reserve(-1):
            raise AssertionError
    with pytest.raises(ValueError, match="completion_tokens"):
        async with quota.reserve(1) as reservation:
            await reservation.report(prompt_tokens=1, completion_tokens=-1)


@pytest.mark.parametrize("make", [lambda: LocalQuota(tpm=1000, rpm=600), Unlimited])
async def test_leaving_without_a_word_is_counted(make: type[Unlimited]) -> None:
    async with make() as quota:
        with pytest.raises(ZeroDivisionError):
            async with quota.reserve(10):
                raise ZeroDivisionError

        assert quota.unreported == 1


async def test_what_does_not_fit_waits_for_the_window() -> None:
    async with LocalQuota(tpm=1000, rpm=6000, window=WINDOW) as quota:
        began = time.monotonic()
        for _ in range(2):
            async with quota.reserve(900) as reservation:
                await reservation.report(prompt_tokens=1, completion_tokens=1)

    assert time.monotonic() - began >= WINDOW
    assert reservation.waited >= WINDOW


async def test_waiters_are_served_in_order_and_a_cancelled_one_leaves_the_line() -> None:
    served: list[str] = []
    async with LocalQuota(tpm=1000, rpm=600) as quota:

        async def work(name: str) -> None:
            async with quota.reserve(400) as reservation:
                served.append(name)
                await reservation.report(prompt_tokens=1, completion_tokens=1)

        lock = await quota.lock_tokens(900)
        tasks = {name: asyncio.ensure_future(work(name)) for name in "abc"}
        await asyncio.sleep(0)
        tasks["a"].cancel()
        await asyncio.wait([tasks["a"]])
        await quota.release_tokens(str(lock.request_id))
        await asyncio.gather(tasks["b"], tasks["c"])

    assert served == ["b", "c"]


async def test_a_grant_that_meets_a_cancelled_caller_goes_back() -> None:
    async with LocalQuota(tpm=1000, rpm=600) as quota:
        lock = await quota.lock_tokens(900)
        waiting = asyncio.ensure_future(quota.reserve(900).__aenter__())
        await asyncio.sleep(0)
        await quota.release_tokens(str(lock.request_id))
        waiting.cancel()
        await asyncio.wait([waiting])

        assert (await quota.get_status() or {})["available_tokens"] == 1000


async def test_a_deadline_ends_the_wait_with_the_time_that_would_help() -> None:
    async with LocalQuota(tpm=1000, rpm=600) as quota:
        await quota.lock_tokens(900)
        with pytest.raises(TokenLimitExceeded) as refusal:
            async with quota.reserve(900, deadline=0.01):
                raise AssertionError

    assert refusal.value.environment
    assert refusal.value.retry_after == pytest.approx(60.25, abs=5)
    assert refusal.value.waited >= 0.01


async def test_what_can_never_fit_is_refused_for_good() -> None:
    async with LocalQuota(tpm=1000, rpm=600) as quota:
        with pytest.raises(TokenLimitExceeded) as refusal:
            async with quota.reserve(1000):  # 1020 with headroom
                raise AssertionError

        assert (await quota.lock_tokens(1000)).code == "exceeds_quota"

    assert refusal.value.permanent
    assert not refusal.value.environment


async def test_more_than_may_wait_are_refused_for_now() -> None:
    async with LocalQuota(tpm=1000, rpm=600, max_depth=1) as quota:
        await quota.lock_tokens(900)
        waiting = asyncio.ensure_future(quota.reserve(900).__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(TokenLimitExceeded, match="too many") as refusal:
            async with quota.reserve(900):
                raise AssertionError
        waiting.cancel()

    assert refusal.value.environment
    assert not refusal.value.permanent


async def test_actual_settling_makes_room_at_once() -> None:
    async with LocalQuota(tpm=1000, rpm=600, settle="actual") as quota:
        async with quota.reserve(900) as first:
            waiting = asyncio.ensure_future(quota.reserve(900).__aenter__())
            await asyncio.sleep(0)
            await first.report(prompt_tokens=10, completion_tokens=10)
            second = await waiting
        await second.release()

        assert (await quota.get_status() or {})["available_tokens"] == 980


async def test_closing_tells_those_who_wait() -> None:
    quota = LocalQuota(tpm=1000, rpm=600)
    await quota.lock_tokens(900)
    waiting = asyncio.ensure_future(quota.reserve(900).__aenter__())
    await asyncio.sleep(0)

    await quota.aclose()

    with pytest.raises(QuotaError, match="closed"):
        await waiting
