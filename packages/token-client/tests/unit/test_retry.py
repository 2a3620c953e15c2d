from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock_token_client import (
    TokenCounterUnavailable,
    TokenLimitExceeded,
    Unlimited,
    with_token_limit_retry,
    with_token_limit_retry_decorator,
)


class Pool(Unlimited):
    """A quota whose status is given."""

    def __init__(self, status: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.status = status

    async def get_status(self) -> dict[str, Any] | None:
        return self.status


class Busy(Exception):  # noqa: N818 - stands for an SDK's own
    """As the errors of Azure's SDKs are."""

    status_code = 429


class Flaky:
    """Fails a few times, then returns its arguments."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, *args: object, **kwargs: object) -> tuple[object, ...]:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return (*args, kwargs)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record what would be slept."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return taken


def limited(retry_after: float | None = None, *, permanent: bool = False) -> TokenLimitExceeded:
    return TokenLimitExceeded("used up", token_count=1, permanent=permanent, retry_after=retry_after)


async def test_a_success_is_returned_at_once(pauses: list[float]) -> None:
    assert await with_token_limit_retry(Flaky(), Pool(), 1, max_retries=0, token_client=2) == (
        1,
        {"token_client": 2},
    )
    assert pauses == []


async def test_it_waits_as_the_error_says(pauses: list[float]) -> None:
    await with_token_limit_retry(Flaky(limited(7.0)), Pool({"reset_time_seconds": 3}))

    assert pauses == [pytest.approx(7.35, abs=0.36)]


async def test_it_waits_as_the_status_says(pauses: list[float]) -> None:
    await with_token_limit_retry(Flaky(Busy()), Pool({"reset_time_seconds": 3}))

    assert pauses == [pytest.approx(3.15, abs=0.16)]


@pytest.mark.parametrize("status", [None, {}, {"reset_time_seconds": "soon"}, {"reset_time_seconds": -1}])
async def test_it_waits_longer_and_longer_when_nobody_says(pauses: list[float], status: dict[str, Any] | None) -> None:
    unavailable = TokenCounterUnavailable("away", url="http://x")

    await with_token_limit_retry(Flaky(limited(), unavailable, Busy()), Pool(status))

    assert pauses == [pytest.approx(1.05, abs=0.06), pytest.approx(2.1, abs=0.11), pytest.approx(4.2, abs=0.21)]


async def test_it_never_waits_more_than_about_a_minute(pauses: list[float]) -> None:
    await with_token_limit_retry(Flaky(limited(86_400)), Pool())

    assert pauses[0] <= 66


@pytest.mark.parametrize("error", [limited(permanent=True), ValueError("no quota's fault")])
async def test_what_trying_again_cannot_help_comes_through(pauses: list[float], error: Exception) -> None:
    flaky = Flaky(error)

    with pytest.raises(type(error)):
        await with_token_limit_retry(flaky, Pool())

    assert (flaky.calls, pauses) == (1, [])


async def test_the_last_error_comes_through(pauses: list[float]) -> None:
    flaky = Flaky(*(Busy() for _ in range(3)))

    with pytest.raises(Busy):
        await with_token_limit_retry(flaky, Pool(), max_retries=2)

    assert (flaky.calls, len(pauses)) == (3, 2)


async def test_negative_retries_are_refused() -> None:
    with pytest.raises(ValueError, match="max_retries"):
        await with_token_limit_retry(Flaky(), Pool(), max_retries=-1)


async def test_the_decorator_retries_and_keeps_the_name(pauses: list[float]) -> None:
    failures = [limited(1.0)]

    @with_token_limit_retry_decorator(Pool(), max_retries=1)
    async def answer(question: str, *, max_retries: int) -> tuple[str, int]:
        """Answer."""
        if failures:
            raise failures.pop()
        return question, max_retries

    assert await answer("why", max_retries=7) == ("why", 7)
    assert answer.__name__ == "answer"
    assert len(pauses) == 1
