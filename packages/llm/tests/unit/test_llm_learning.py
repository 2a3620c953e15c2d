"""What is learned: a schema's real cost from usage, and a smaller answer's size from the quota, if asked for."""

import gc
import weakref
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from penstock_llm import AzureOpenAIService
from penstock_llm._calibration import Calibration
from penstock_local_azure import Deployment, OpenAI
from penstock_token_client import LocalQuota

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import RecordingQuota, ScriptedEndpoint

    from penstock_token_client import Reservation

PROMPT = [{"role": "user", "content": "How was it?"}]


class Verdict(BaseModel):
    score: int
    reason: str


class Other(BaseModel):
    score: int
    reason: str


GOOD = '{"score": 4, "reason": "fast"}'


@given(guess=st.integers(0, 500), seen=st.lists(st.integers(0, 500), max_size=40))
def test_an_overhead_is_never_under_what_was_seen_lately(guess: int, seen: list[int]) -> None:
    calibration = Calibration(guess)
    for overhead in seen:
        calibration.learn(overhead)
    assert calibration.overhead >= max(seen[-20:], default=guess)
    assert calibration.overhead <= max([guess, *seen])


def test_what_was_learned_of_models_that_are_made_call_by_call_does_not_pile_up(service: AzureOpenAIService) -> None:
    made = [create_model(f"Made{number}", score=(int, ...)) for number in range(300)]
    for model in made:
        service.estimate_token_count(PROMPT, 1, model)

    references = [weakref.ref(model) for model in made]
    del made, model
    gc.collect()

    assert sum(reference() is not None for reference in references) <= 256


async def test_a_schemas_estimate_comes_down_to_what_it_is_billed_after_a_few_answers(
    standin: OpenAI, quota: "RecordingQuota"
) -> None:
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key) as service:
        at_first = service.estimate_token_count(PROMPT, 1, Verdict)
        untouched = service.estimate_token_count(PROMPT, 1, Other)
        for number in range(20):
            await service.complete(Verdict, [{"role": "user", "content": f"Number {number}. " * (number + 1)}])

        billed = [request.prompt_tokens for request in standin.requests]
        estimated = [reservation.reserved - reservation.max_tokens for reservation in quota.reservations]
        assert service.estimate_token_count(PROMPT, 1, Verdict) < at_first
        assert service.estimate_token_count(PROMPT, 1, Other) == untouched

    assert all(ours >= theirs for ours, theirs in zip(estimated, billed, strict=True))
    assert estimated[-1] <= 1.03 * billed[-1]


async def test_an_estimate_that_was_too_low_is_raised_at_once(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint"
) -> None:
    endpoint.says(GOOD, usage=(900, 10))
    await service.complete(Verdict, PROMPT)

    assert service.estimate_token_count(PROMPT, 1, Verdict) == 900 + 1


async def test_fallbacks_learn_for_themselves(standin: OpenAI, quota: "RecordingQuota") -> None:
    where: dict[str, Any] = {"endpoint": standin.endpoint, "api_key": standin.api_key, "quota": quota}
    async with AzureOpenAIService("gpt-4o-eu", **where) as other, AzureOpenAIService("gpt-4o", **where) as service:
        before = other.estimate_token_count(PROMPT, 1, Verdict)
        for _ in range(6):
            await service.complete(Verdict, PROMPT)
        assert other.estimate_token_count(PROMPT, 1, Verdict) == before
        assert service.estimate_token_count(PROMPT, 1, Verdict) < before


class Suggesting(LocalQuota):
    """A quota that has learned how long answers are."""

    def __init__(self) -> None:
        super().__init__(tpm=1_000_000, rpm=60_000)
        self.max_tokens: list[int] = []

    @asynccontextmanager
    async def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> "AsyncIterator[Reservation]":
        async with super().reserve(
            token_count, max_tokens=max_tokens, requests=requests, deadline=deadline
        ) as reservation:
            vars(reservation)["suggested_max_tokens"] = 60
            self.max_tokens.append(max_tokens)
            yield reservation


@pytest.mark.parametrize(("use", "sizes"), [(False, [1024, 1024, 50]), (True, [1024, 60, 50])])
async def test_a_suggested_size_is_used_only_when_asked_for_and_not_against_a_calls_own(
    endpoint: "ScriptedEndpoint",
    use: bool,  # noqa: FBT001  a parameter of the test
    sizes: list[int],
) -> None:
    quota = Suggesting()
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k", use_suggested_max_tokens=use
    ) as service:
        for options in ({}, {}, {"max_tokens": 50}):
            endpoint.says(GOOD)
            await service.complete(Verdict, PROMPT, **options)

    assert [seen.body["max_completion_tokens"] for seen in endpoint.requests] == sizes == quota.max_tokens


async def test_an_answer_longer_than_suggested_is_asked_for_once_more_with_all_that_is_allowed(
    endpoint: "ScriptedEndpoint",
) -> None:
    async with AzureOpenAIService(
        "gpt-4o", quota=Suggesting(), endpoint=endpoint.url, api_key="k", use_suggested_max_tokens=True
    ) as service:
        endpoint.says(GOOD)
        await service.complete(Verdict, PROMPT)
        endpoint.says('{"score": 4, "rea', finish_reason="length")
        endpoint.says(GOOD)
        await service.complete(Verdict, PROMPT)

    assert [seen.body["max_completion_tokens"] for seen in endpoint.requests] == [1024, 60, 1024]


@pytest.mark.parametrize(
    ("model", "encodings", "largest"),
    [("gpt-4o", None, 1024), ("o4-mini", None, 8192), ("thinker", {"thinker": "gpt-5"}, 8192)],
)
async def test_reasoning_models_are_allowed_more_because_their_thoughts_count(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota", model: str, encodings: Mapping[str, str] | None, largest: int
) -> None:
    endpoint.says(GOOD)
    async with AzureOpenAIService(
        model, quota=quota, endpoint=endpoint.url, api_key="k", encodings=encodings
    ) as service:
        await service.complete(Verdict, PROMPT)

    assert endpoint.requests[0].body["max_completion_tokens"] == largest == quota.reservations[0].max_tokens


async def test_a_reasoning_model_is_paid_for_its_thoughts(quota: "RecordingQuota") -> None:
    deployment = Deployment("o4-mini", tpm=1_000_000, rpm=60_000, reasoning=True)
    async with (
        OpenAI([deployment], judge="exact", seed=7, latency=0.0) as standin,
        AzureOpenAIService("o4-mini", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key) as service,
    ):
        completion = await service.complete(Verdict, PROMPT)
        (seen,) = standin.requests

    assert completion.usage.completion_tokens == seen.completion_tokens
