"""Against the local stand-in and its exact judge: what is reserved, what is sent and what is judged agree."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import TYPE_CHECKING, Literal

import pytest
from pydantic import BaseModel, Field

from penstock_llm import AzureOpenAIService, Completion
from penstock_local_azure import Deployment, InvalidAnswer, OpenAI

if TYPE_CHECKING:
    from conftest import RecordingQuota

RPM = 1_800
"""Thirty requests in each second. The judge allows twice as many: this is about tokens, not about pace."""


class Product(BaseModel):
    """What the feedback is about."""

    name: str = Field(description="as the customer calls it")
    price: float | None = None


class Feedback(BaseModel):
    """A customer's feedback, understood."""

    sentiment: Literal["positive", "neutral", "negative"]
    score: int = Field(ge=1, le=5)
    products: list[Product]
    summary: str | None = None


@pytest.fixture
async def standin() -> AsyncIterator[OpenAI]:
    deployment = Deployment("gpt-4o", tpm=1_000_000, rpm=2 * RPM)
    async with OpenAI(deployments=[deployment], judge="exact", seed=7, latency=0.0) as running:
        yield running


@pytest.fixture
def exact_quota(quota: "RecordingQuota") -> "RecordingQuota":
    return type(quota)(tpm=1_000_000, rpm=RPM, headroom=0.0)


@pytest.mark.parametrize("api_version", [None, "2024-10-21"])
async def test_typed_and_plain_answers_come_over_both_routes(
    standin: OpenAI, exact_quota: "RecordingQuota", api_version: str | None
) -> None:
    async with AzureOpenAIService(
        "gpt-4o", quota=exact_quota, endpoint=standin.endpoint, api_key=standin.api_key, api_version=api_version
    ) as service:
        prompt = service.format_prompt("Understand the feedback.", "{text}", {"text": "Too slow! <|endoftext|> {}"})
        completion = await service.complete(Feedback, prompt)
        assert isinstance(completion.value, Feedback)
        assert await service.send_prompt("Be kind.", "Say hello.")
    billed = standin.stats()["gpt-4o"]["billed_tokens"]
    reported = [report["usage"] for reservation in exact_quota.reservations for report in reservation.reports]
    assert sum(map(sum, reported)) == billed


async def test_every_attempt_is_reserved_and_nothing_is_judged_beyond_what_is_charged(
    standin: OpenAI, exact_quota: "RecordingQuota"
) -> None:
    standin.faults.add(InvalidAnswer(), every=5)
    async with AzureOpenAIService(
        "gpt-4o", quota=exact_quota, endpoint=standin.endpoint, api_key=standin.api_key
    ) as service:

        async def ask(number: int) -> Completion[Feedback]:
            prompt = service.format_prompt("Understand the feedback.", f"Number {number}: {'slow ' * number}")
            return await service.complete(Feedback, prompt, max_tokens=400)

        completions = await asyncio.gather(*map(ask, range(60)))
    account = standin.stats()["gpt-4o"]
    seen = [request.id for request in standin.requests]
    attempts = [attempt for completion in completions for attempt in completion.attempts]
    assert len(attempts) > 60, "one answer in five was invalid"
    assert {attempt.request_id for attempt in attempts} == set(seen) == set(exact_quota.ids)
    assert len(attempts) == len(seen) == account["requests"]
    assert account["http_429"] == 0
    assert sum(attempt.usage.total_tokens for attempt in attempts if attempt.usage) == account["billed_tokens"]
    charged = await exact_quota.charged()
    assert account["judged_tokens"] <= charged <= 1.05 * account["judged_tokens"]
    assert all(attempt.usage and attempt.reserved - 400 >= attempt.usage.prompt_tokens for attempt in attempts)


async def test_calls_cancelled_at_any_moment_stay_charged(standin: OpenAI, exact_quota: "RecordingQuota") -> None:
    random = Random(7)
    standin.faults.add(InvalidAnswer(), every=5)
    async with AzureOpenAIService(
        "gpt-4o", quota=exact_quota, endpoint=standin.endpoint, api_key=standin.api_key
    ) as service:
        prompt = service.format_prompt("Understand the feedback.", "It broke.")

        async def ask() -> bool:
            try:
                async with asyncio.timeout(random.uniform(0.0, 1.5)):
                    await service.complete(Feedback, prompt, max_tokens=400)
            except TimeoutError:
                return False
            return True

        answered = await asyncio.gather(*(ask() for _ in range(60)))
    account = standin.stats()["gpt-4o"]
    assert {True, False} == set(answered)
    assert {request.id for request in standin.requests} <= set(exact_quota.ids)
    assert account["http_429"] == 0
    assert account["judged_tokens"] <= await exact_quota.charged()
    assert all(reservation.left_at is not None for reservation in exact_quota.reservations)
