"""The retry helpers, as a service that was written against their predecessor uses them; nobody really waits."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from penstock_token_client import (
    LocalQuota,
    TokenClient,
    TokenCounterUnavailable,
    TokenLimitExceeded,
    Unlimited,
    with_token_limit_retry,
    with_token_limit_retry_decorator,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import ScriptedCounter


class Waits:
    """The waits that were taken, in seconds, without taking any time."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.chance = 0.0

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)

    def random(self) -> float:
        return self.chance


class Flaky:
    """Fails as it was told, then returns what it was called with."""

    def __init__(self, *errors: BaseException) -> None:
        self.calls: list[tuple[tuple[object, ...], dict[str, object]]] = []
        self._errors = list(errors)

    async def __call__(self, *args: object, **kwargs: object) -> str:
        self.calls.append((args, kwargs))
        if self._errors:
            raise self._errors.pop(0)
        return "done"


class SdkError(Exception):
    """As the errors of Azure's SDKs are: a status, and nothing of ours."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class ForeignError(Exception):
    """An error of another package, which says with our attributes what it is."""

    def __init__(self, **facts: object) -> None:
        super().__init__("another package's")
        self.__dict__.update(facts)


def limited(retry_after: float | None = None, *, permanent: bool = False) -> TokenLimitExceeded:
    return TokenLimitExceeded("used up", token_count=1, permanent=permanent, retry_after=retry_after)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    taken = Waits()
    monkeypatch.setattr("penstock_token_client._retry._sleep", taken.sleep)
    monkeypatch.setattr("penstock_token_client._retry._random", taken.random)
    return taken


@pytest.fixture
async def client(counter: ScriptedCounter) -> AsyncIterator[TokenClient]:
    async with TokenClient("feedback", counter.url, timeout=5.0) as made:
        yield made


class TestRetryDecorator:
    async def test_retry_success_first_attempt(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        flaky = Flaky()

        result = await with_token_limit_retry_decorator(client)(flaky)()

        assert result == "done"
        assert len(flaky.calls) == 1
        assert (waits.taken, counter.calls) == ([], [])

    async def test_retry_with_rate_limit_wait(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        counter.script("status", {"available_tokens": 0, "reset_time_seconds": 7})
        flaky = Flaky(limited())

        result = await with_token_limit_retry_decorator(client)(flaky)()

        assert result == "done"
        assert len(flaky.calls) == 2
        assert waits.taken == [7.0]

    def test_decorator_preserves_metadata(self) -> None:
        async def answer(question: str, *, depth: int = 1) -> str:
            """Answer a question."""
            return question * depth

        decorated = with_token_limit_retry_decorator(Unlimited())(answer)

        assert (decorated.__name__, decorated.__doc__) == ("answer", "Answer a question.")
        assert inspect.signature(decorated) == inspect.signature(answer)

    def test_decorator_returns_a_coroutine_function(self) -> None:
        decorated = with_token_limit_retry_decorator(Unlimited())(Flaky())

        assert inspect.iscoroutinefunction(decorated)

    async def test_decorator_passes_arguments_of_any_name(self, waits: Waits) -> None:
        flaky = Flaky()

        await with_token_limit_retry_decorator(Unlimited())(flaky)("why", func=1, token_client=2, max_retries=3)

        assert flaky.calls == [(("why",), {"func": 1, "token_client": 2, "max_retries": 3})]
        assert waits.taken == []

    async def test_decorator_on_a_method_keeps_self(self, waits: Waits) -> None:
        class Service:
            def __init__(self) -> None:
                self.tries = 0

            @with_token_limit_retry_decorator(Unlimited())
            async def ask(self, question: str) -> tuple[Service, str]:
                self.tries += 1
                if self.tries == 1:
                    raise limited(1.0)
                return self, question

        service = Service()

        assert await service.ask("why") == (service, "why")
        assert (service.tries, waits.taken) == (2, [1.0])

    async def test_decorator_counts_each_call_anew(self, waits: Waits) -> None:
        flaky = Flaky(limited(1.0), limited(1.0))
        decorated = with_token_limit_retry_decorator(Unlimited(), max_retries=2)(flaky)
        await decorated()
        flaky._errors = [limited(), limited()]

        await decorated()

        assert len(flaky.calls) == 6
        assert waits.taken == [1.0, 1.0, 1.0, 2.0]

    async def test_decorator_retries_as_often_as_it_was_told(self, waits: Waits) -> None:
        flaky = Flaky(*(limited(1.0) for _ in range(6)))

        assert await with_token_limit_retry_decorator(Unlimited(), max_retries=6)(flaky)() == "done"

        assert (len(flaky.calls), len(waits.taken)) == (7, 6)

    def test_decorator_refuses_negative_retries_before_any_call(self) -> None:
        with pytest.raises(ValueError, match="max_retries"):
            with_token_limit_retry_decorator(Unlimited(), max_retries=-1)


class TestRetryFunction:
    async def test_retry_passes_arguments_and_keeps_its_own(self, waits: Waits) -> None:
        flaky = Flaky()

        await with_token_limit_retry(flaky, Unlimited(), "why", func=1, token_client=2, max_retries=0)

        assert flaky.calls == [(("why",), {"func": 1, "token_client": 2})]
        assert waits.taken == []

    async def test_retry_repeats_the_same_arguments(self, waits: Waits) -> None:
        flaky = Flaky(limited(1.0))

        await with_token_limit_retry(flaky, Unlimited(), "why", depth=2)

        assert flaky.calls == [(("why",), {"depth": 2})] * 2
        assert waits.taken == [1.0]

    async def test_retry_three_times_by_default(self, waits: Waits) -> None:
        flaky = Flaky(*(limited(1.0) for _ in range(9)))

        with pytest.raises(TokenLimitExceeded):
            await with_token_limit_retry(flaky, Unlimited())

        assert (len(flaky.calls), len(waits.taken)) == (4, 3)

    async def test_retry_zero_times_calls_once_and_asks_nobody(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        flaky = Flaky(limited())

        with pytest.raises(TokenLimitExceeded):
            await with_token_limit_retry(flaky, client, max_retries=0)

        assert (len(flaky.calls), waits.taken, counter.calls) == (1, [], [])

    async def test_retry_refuses_negative_retries_without_calling(self) -> None:
        flaky = Flaky()

        with pytest.raises(ValueError, match="max_retries"):
            await with_token_limit_retry(flaky, Unlimited(), max_retries=-1)

        assert flaky.calls == []


class TestRetryWaitTime:
    async def test_wait_as_the_error_says_without_asking_for_the_status(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        counter.script("status", {"reset_time_seconds": 3})

        await with_token_limit_retry(Flaky(limited(7.5), limited(0.0)), client)

        assert waits.taken == [7.5, 0.0]
        assert counter.calls == []

    async def test_wait_asks_the_status_anew_before_each_retry(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        counter.script("status", {"reset_time_seconds": 5}, {"reset_time_seconds": 0.25})

        await with_token_limit_retry(Flaky(limited(), limited()), client)

        assert waits.taken == [5.0, 0.25]

    async def test_wait_no_time_when_the_status_says_zero(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        counter.script("status", {"reset_time_seconds": 0})

        await with_token_limit_retry(Flaky(limited()), client)

        assert waits.taken == [0.0]

    @pytest.mark.parametrize("told", [-1.0, float("nan"), "soon", True])
    async def test_wait_as_the_status_says_when_the_error_makes_no_sense(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits, told: object
    ) -> None:
        counter.script("status", {"reset_time_seconds": 5})

        await with_token_limit_retry(Flaky(ForeignError(environment=True, retry_after=told)), client)

        assert waits.taken == [5.0]

    async def test_wait_is_capped_when_the_error_says_longer(self, waits: Waits) -> None:
        await with_token_limit_retry(Flaky(limited(86_400.0), limited(float("inf"))), Unlimited())

        assert waits.taken == [120.0, 120.0]

    async def test_wait_is_capped_when_the_status_says_longer(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        counter.script("status", {"reset_time_seconds": 3600})

        await with_token_limit_retry(Flaky(limited()), client)

        assert waits.taken == [120.0]

    async def test_wait_is_up_to_a_tenth_longer_and_never_shorter(self, waits: Waits) -> None:
        waits.chance = 1.0

        await with_token_limit_retry(Flaky(limited(10.0), limited(86_400.0)), Unlimited())

        assert waits.taken == [pytest.approx(11.0), pytest.approx(132.0)]


class TestRetryBackoff:
    async def test_backoff_doubles_when_nobody_says(self, waits: Waits) -> None:
        await with_token_limit_retry(Flaky(limited(), limited(), limited()), Unlimited())

        assert waits.taken == [1.0, 2.0, 4.0]

    async def test_backoff_when_the_counter_is_not_there(self, unused_tcp_port: int, waits: Waits) -> None:
        async with TokenClient("feedback", f"http://127.0.0.1:{unused_tcp_port}") as client:
            await with_token_limit_retry(Flaky(limited()), client)

        assert waits.taken == [1.0]

    @pytest.mark.parametrize("told", [None, "soon", -1, True, []])
    async def test_backoff_when_the_status_makes_no_sense(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits, told: object
    ) -> None:
        counter.script("status", {"reset_time_seconds": told}, {})

        await with_token_limit_retry(Flaky(limited(), limited()), client)

        assert waits.taken == [1.0, 2.0]

    async def test_backoff_counts_the_retries_that_were_told_how_long(self, waits: Waits) -> None:
        await with_token_limit_retry(Flaky(limited(0.5), limited()), Unlimited())

        assert waits.taken == [0.5, 2.0]

    async def test_backoff_stops_at_a_minute_however_many_retries(self, waits: Waits) -> None:
        flaky = Flaky(*(limited() for _ in range(1100)))

        await with_token_limit_retry(flaky, Unlimited(), max_retries=1100)

        assert waits.taken[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        assert (len(waits.taken), waits.taken[-1]) == (1100, 60.0)


class TestRetryErrors:
    async def test_permanent_denial_is_not_retried(self, waits: Waits) -> None:
        flaky = Flaky(limited(1.0, permanent=True))

        with pytest.raises(TokenLimitExceeded):
            await with_token_limit_retry(flaky, Unlimited())

        assert (len(flaky.calls), waits.taken) == (1, [])

    async def test_permanent_wins_over_every_other_sign(self, waits: Waits) -> None:
        flaky = Flaky(ForeignError(permanent=True, environment=True, status_code=429))

        with pytest.raises(ForeignError):
            await with_token_limit_retry(flaky, Unlimited())

        assert (len(flaky.calls), waits.taken) == (1, [])

    @pytest.mark.parametrize("error", [ValueError("a fault"), ForeignError(environment="yes"), TimeoutError()])
    async def test_an_error_that_says_nothing_is_not_retried(self, waits: Waits, error: Exception) -> None:
        flaky = Flaky(error)

        with pytest.raises(type(error)) as raised:
            await with_token_limit_retry(flaky, Unlimited())

        assert raised.value is error
        assert (len(flaky.calls), waits.taken) == (1, [])

    @pytest.mark.parametrize(("status", "calls"), [(429, 2), (400, 1), (404, 1), (500, 1)])
    async def test_of_http_statuses_only_429_is_retried(self, waits: Waits, status: int, calls: int) -> None:
        flaky = Flaky(SdkError(status))

        await asyncio.gather(with_token_limit_retry(flaky, Unlimited()), return_exceptions=True)

        assert (len(flaky.calls), len(waits.taken)) == (calls, calls - 1)

    async def test_an_unavailable_counter_is_retried(self, waits: Waits) -> None:
        flaky = Flaky(TokenCounterUnavailable("away", url="http://counter:8001", retry_after=2.0))

        assert await with_token_limit_retry(flaky, Unlimited()) == "done"

        assert waits.taken == [2.0]

    async def test_exhausted_retries_raise_the_last_error(self, waits: Waits) -> None:
        errors = [limited(1.0), SdkError(429), limited(3.0)]

        with pytest.raises(TokenLimitExceeded) as raised:
            await with_token_limit_retry(Flaky(*errors), Unlimited(), max_retries=2)

        assert raised.value is errors[-1]
        assert len(waits.taken) == 2

    async def test_an_error_that_becomes_permanent_ends_the_retries(self, waits: Waits) -> None:
        flaky = Flaky(limited(1.0), limited(permanent=True), limited(1.0))

        with pytest.raises(TokenLimitExceeded) as raised:
            await with_token_limit_retry(flaky, Unlimited(), max_retries=9)

        assert raised.value.permanent
        assert (len(flaky.calls), waits.taken) == (2, [1.0])


class TestRetryCancellation:
    async def test_cancellation_of_the_call_is_not_retried(self, waits: Waits) -> None:
        flaky = Flaky(asyncio.CancelledError())

        with pytest.raises(asyncio.CancelledError):
            await with_token_limit_retry(flaky, Unlimited())

        assert (len(flaky.calls), waits.taken) == (1, [])

    async def test_cancellation_while_waiting_ends_the_retries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting = asyncio.Event()

        async def forever(_: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("penstock_token_client._retry._sleep", forever)
        flaky = Flaky(limited(1.0))
        task = asyncio.ensure_future(with_token_limit_retry(flaky, Unlimited()))
        await waiting.wait()

        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert len(flaky.calls) == 1


class TestRetryIntegration:
    async def test_the_wait_that_a_quota_names_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]

        async def pass_time(seconds: float) -> None:
            now[0] += seconds

        monkeypatch.setattr("penstock_token_client._retry._sleep", pass_time)
        monkeypatch.setattr("penstock_token_client._retry._random", lambda: 0.0)
        async with LocalQuota(tpm=1000, rpm=600, clock=lambda: now[0]) as quota:

            async def ask(tokens: int) -> str:
                async with quota.reserve(tokens, deadline=0) as reservation:
                    await reservation.report(prompt_tokens=tokens, completion_tokens=0)
                    return reservation.request_id

            first = await ask(900)
            second = await with_token_limit_retry(ask, quota, 900, max_retries=1)

        assert first != second
        assert now[0] == 60.25

    async def test_what_a_counter_denies_for_good_is_asked_once(
        self, client: TokenClient, counter: ScriptedCounter, waits: Waits
    ) -> None:
        counter.script("lock", *[{"allowed": False, "code": "exceeds_quota", "message": "too large"}] * 2)

        @with_token_limit_retry_decorator(client)
        async def ask() -> Any:
            async with client.reserve(10):
                raise AssertionError

        with pytest.raises(TokenLimitExceeded, match="too large"):
            await ask()

        assert len(counter.asked("lock")) == 1
        assert waits.taken == []
