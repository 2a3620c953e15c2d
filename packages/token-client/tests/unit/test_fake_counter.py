from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock_token_client import TokenClient, TokenCounterUnavailable, TokenLimitExceeded, with_token_limit_retry
from penstock_token_client.testing import Asked, FakeCounter, Reported


def test_it_has_whatever_a_token_client_has() -> None:
    client = TokenClient("feedback", "http://counter:8001")
    names = {name for name in dir(client) if not name.startswith("_")}

    assert names <= set(dir(FakeCounter()))


async def test_it_grants_and_remembers_under_which_id() -> None:
    counter = FakeCounter()

    async with counter.reserve(1200, max_tokens=400, deadline=30) as reservation:
        assert await reservation.report(prompt_tokens=780, completion_tokens=150, status="truncated")
    _, locked, _ = await counter.lock_tokens(7)
    assert await counter.release_tokens(str(locked))

    first, second = counter.reservations
    assert first == Asked(request_id=reservation.request_id, token_count=1200, max_tokens=400, deadline=30)
    assert second == Asked(request_id=str(locked), token_count=7)
    assert counter.reports == [
        Reported(request_id=first.request_id, prompt_tokens=780, completion_tokens=150, status="truncated")
    ]
    assert counter.releases == [locked]
    assert (counter.open, counter.unreported) == ([], 0)


async def test_what_was_left_without_a_word_stays_open() -> None:
    counter = FakeCounter()

    with pytest.raises(ZeroDivisionError):
        async with counter.reserve(10) as reservation:
            raise ZeroDivisionError

    assert counter.open == [reservation.request_id]
    assert counter.unreported == 1


async def test_lock_tokens_answers_by_the_script_and_then_yes() -> None:
    counter = FakeCounter()
    counter.grant(suggested_max_tokens=50)
    counter.deny(retry_after=1.5)
    counter.deny(permanent=True)
    counter.outage()

    locks = [await counter.lock_tokens(10) for _ in range(5)]

    assert [lock.code for lock in locks] == ["ok", "limited", "exceeds_quota", "unavailable", "ok"]
    assert [lock.retry_after for lock in locks] == [None, 1.5, None, None, None]
    assert locks[0].suggested_max_tokens == 50
    assert str(locks[3].error).startswith("Client error:")


async def test_a_denial_is_what_a_deadline_meets() -> None:
    counter = FakeCounter()
    counter.deny(retry_after=1.5)

    with pytest.raises(TokenLimitExceeded) as raised:
        await counter.reserve(10, deadline=30).__aenter__()

    error = raised.value
    assert (error.permanent, error.environment, error.retry_after, error.waited) == (False, True, 1.5, 30)
    assert counter.reservations == []


async def test_an_outage_is_what_a_deadline_meets() -> None:
    counter = FakeCounter()
    counter.outage()

    with pytest.raises(TokenCounterUnavailable) as raised:
        await counter.reserve(10, deadline=30).__aenter__()

    assert (raised.value.permanent, raised.value.environment, raised.value.url) == (False, True, counter.base_url)


async def test_what_passes_is_waited_over_in_no_time_without_a_deadline() -> None:
    counter = FakeCounter()
    counter.deny(2, retry_after=40.0)
    counter.outage()

    async with asyncio.timeout(5), counter.reserve(10) as reservation:
        await reservation.release()

    assert reservation.waited == 80.0
    assert len(counter.reservations) == 1


@pytest.mark.parametrize("deadline", [None, 30.0])
async def test_what_does_not_pass_is_raised(deadline: float | None) -> None:
    counter = FakeCounter()
    counter.deny(permanent=True)
    counter.outage(passing=False)

    with pytest.raises(TokenLimitExceeded) as never:
        await counter.reserve(10, deadline=deadline).__aenter__()
    with pytest.raises(TokenCounterUnavailable):
        await counter.reserve(10, deadline=deadline).__aenter__()

    assert (never.value.permanent, never.value.environment, never.value.retry_after) == (True, False, None)


async def test_lost_reports_are_counted_and_not_remembered() -> None:
    counter = FakeCounter()
    counter.lose_reports(2)

    async with counter.reserve(10) as reservation:
        assert not await reservation.release()
        assert not await reservation.report(prompt_tokens=1, completion_tokens=1)
        assert await reservation.report(prompt_tokens=1, completion_tokens=1)

    assert counter.unreported == 1
    assert (len(counter.reports), counter.releases) == (1, [])


async def test_a_grant_ends_once_and_the_same_end_may_come_again() -> None:
    counter = FakeCounter()
    _, request_id, _ = await counter.lock_tokens(10)
    assert request_id is not None

    told = [
        await counter.report_usage(request_id, 1, 1),
        await counter.report_usage(request_id, 1, 1),
        await counter.report_usage(request_id, 2, 1),
        await counter.release_tokens(request_id),
        await counter.release_tokens("token_other:rate_other"),
        await counter.report_usage(request_id, -1, 1),
    ]

    assert told == [True, True, False, False, False, False]


@pytest.mark.parametrize("faulty", [{"token_count": -1}, {"max_tokens": 11}, {"requests": 0}, {"deadline": -1.0}])
async def test_bad_arguments_are_refused_and_use_up_no_step(faulty: dict[str, Any]) -> None:
    counter = FakeCounter()
    counter.deny()

    with pytest.raises(ValueError, match=next(iter(faulty))):
        await counter.reserve(**{"token_count": 10, **faulty}).__aenter__()

    assert (await counter.lock_tokens(-1)).code == "invalid"
    assert (await counter.lock_tokens(1)).code == "limited"


async def test_a_closed_one_says_so() -> None:
    async with FakeCounter() as counter:
        assert await counter.get_status() is not None

    assert (await counter.lock_tokens(1)).error == "Client error: this client was closed"
    with pytest.raises(TokenCounterUnavailable, match="closed"):
        await counter.reserve(1).__aenter__()
    assert await counter.get_status() is None


async def test_the_retry_helpers_do_not_wait_for_it() -> None:
    counter = FakeCounter()
    counter.deny(3)

    async def ask() -> str:
        async with counter.reserve(10, deadline=0) as reservation:
            await reservation.release()
            return reservation.request_id

    async with asyncio.timeout(0.9):  # less than the helpers' first pause where nobody says how long
        request_id = await with_token_limit_retry(ask, counter)

    assert counter.releases == [request_id]
