"""50 workers under limits that bind, one answer in five invalid, counted at the endpoint, whose limits are the quota's.

`PENSTOCK_SURVIVAL` is "quick" (few calls, whose pace binds) or "full" (2,000, whose tokens bind for minutes, too).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, Field

from penstock_llm import AzureOpenAIService, Completion, CompletionError
from penstock_local_azure import Deployment, InvalidAnswer, OpenAI
from penstock_token_client import Limits, TokenLimitExceeded

if TYPE_CHECKING:
    from conftest import RecordingQuota

WORKERS = 50
MAX_TOKENS = 400
SEED = 7


@dataclass(frozen=True)
class Plan:
    """How much to do, and under which limits."""

    calls: int
    tpm: int
    rpm: int


PLANS = {"quick": Plan(calls=160, tpm=300_000, rpm=1_200), "full": Plan(calls=2_000, tpm=450_000, rpm=1_200)}
PLAN = PLANS[os.environ.get("PENSTOCK_SURVIVAL", "quick")]
MARGINS = Limits(tpm=PLAN.tpm, rpm=PLAN.rpm)


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


@dataclass
class Fleet:
    """What the workers did."""

    valid: list[Completion[Feedback]] = field(default_factory=list)
    failed: list[CompletionError | TokenLimitExceeded] = field(default_factory=list)
    cancelled: int = 0

    async def run(self, service: AzureOpenAIService, *, patience: Random | None = None) -> None:
        """Have all calls made; with `patience`, tasks are cancelled at any moment.

        One goes ahead alone, as a worker's first message does: a process that still has to load its SDK, its
        vocabulary and its connections is late with whatever it was granted.
        """
        numbers = iter(range(PLAN.calls))
        await self._work(service, islice(numbers, 1), None)
        await asyncio.gather(*(self._work(service, numbers, patience) for _ in range(WORKERS)))

    async def _work(self, service: AzureOpenAIService, numbers: Iterator[int], patience: Random | None) -> None:
        for number in numbers:
            text = f"Order {number}: {'the delivery was late and nobody answered, ' * (number % 12)}but it rides well."
            messages = service.format_prompt("Understand the feedback.", "{text}", {"text": text})
            within = None if patience is None or patience.random() < 0.5 else patience.uniform(0.0, 1.0)
            try:
                async with asyncio.timeout(within):
                    self.valid.append(await service.complete(Feedback, messages, max_tokens=MAX_TOKENS))
            except TimeoutError:
                self.cancelled += 1
            except (CompletionError, TokenLimitExceeded) as error:
                self.failed.append(error)


@asynccontextmanager
async def endpoint(judge: Literal["exact", "hidden"], seed: int = SEED) -> AsyncIterator[OpenAI]:
    """Serve, and spoil one answer in five."""
    deployment = Deployment("gpt-4o", tpm=PLAN.tpm, rpm=PLAN.rpm)
    async with OpenAI([deployment], judge=judge, seed=seed, latency=0.05) as running:
        running.faults.add(InvalidAnswer(), chance=0.2, seed=SEED)
        yield running


async def too_early(standin: OpenAI, quota: "RecordingQuota") -> list[int]:
    """Return the places of the requests that were refused.

    A machine so busy that requests reach the endpoint later than the ledger allows for (a tenth of a second where the
    pace is judged, a quarter where the tokens are) shows nothing, and the test is skipped.
    """
    status = await quota.get_status()
    assert status is not None
    allowed = MARGINS.margin if status["http_429_by_cause"]["tokens"] else MARGINS.sub_margin
    granted = {reservation.request_id: reservation.granted_at for reservation in quota.reservations}
    ways = [each.at - granted[each.id] for each in standin.requests if each.id in granted]
    refused = [place for place, each in enumerate(standin.requests) if each.status == 429]
    latest = max(ways) - min(ways)  # the two clocks began at different times
    if refused and latest > allowed:
        pytest.skip(f"this machine took up to {latest:.2f} s from a grant to the endpoint")
    return refused


def quota_of(quota: "RecordingQuota", **options: Any) -> "RecordingQuota":
    """Limit as the endpoint does."""
    return type(quota)(tpm=PLAN.tpm, rpm=PLAN.rpm, **options)


async def test_every_attempt_is_paid_for_and_none_comes_too_early(quota: "RecordingQuota") -> None:
    limited, fleet = quota_of(quota, headroom=0.0), Fleet()
    async with (
        endpoint("exact") as standin,
        AzureOpenAIService("gpt-4o", quota=limited, endpoint=standin.endpoint, api_key=standin.api_key) as service,
    ):
        await fleet.run(service)

    assert await too_early(standin, limited) == []
    assert len(fleet.valid) + len(fleet.failed) == PLAN.calls
    assert all(1 <= completion.value.score <= 5 for completion in fleet.valid)
    attempts = [attempt for one in (*fleet.valid, *fleet.failed) for attempt in getattr(one, "attempts", ())]
    invalid = sum(attempt.outcome == "invalid" for attempt in attempts)
    assert 0.15 * len(attempts) < invalid < 0.25 * len(attempts)

    judged = {request.id: request.judged for request in standin.requests}
    charged = {reservation.request_id: reservation.reserved for reservation in limited.reservations}
    assert judged.keys() == charged.keys() == {attempt.request_id for attempt in attempts}
    assert len(standin.requests) == len(limited.reservations) == len(attempts)
    assert not {id_: (charged[id_], judged[id_]) for id_ in judged if charged[id_] < judged[id_]}
    assert not {id_: (charged[id_], judged[id_]) for id_ in judged if charged[id_] > 1.05 * judged[id_]}

    billed = {request.id: (request.prompt_tokens, request.completion_tokens) for request in standin.requests}
    assert {each.request_id: each.reports[0]["usage"] for each in limited.reservations} == billed
    assert all(len(each.reports) == 1 and each.left_at is not None for each in limited.reservations)
    status = await limited.get_status()
    assert status is not None
    assert (status["locked_tokens"], limited.unreported) == (0, 0)


async def test_tasks_cancelled_at_any_moment_leave_no_request_unpaid(quota: "RecordingQuota") -> None:
    limited, fleet = quota_of(quota, headroom=0.0), Fleet()
    async with (
        endpoint("exact") as standin,
        AzureOpenAIService("gpt-4o", quota=limited, endpoint=standin.endpoint, api_key=standin.api_key) as service,
    ):
        await fleet.run(service, patience=Random(SEED))

    assert fleet.cancelled > PLAN.calls / 20
    assert len(fleet.valid) > PLAN.calls / 3
    charged = {reservation.request_id: reservation.reserved for reservation in limited.reservations}
    assert not [request for request in standin.requests if charged.get(request.id, 0) < request.judged]
    assert all(reservation.left_at is not None for reservation in limited.reservations)
    assert await too_early(standin, limited) == []


@pytest.mark.parametrize("seed", [7, 5], ids=["a little generous", "strict by an eighth"])
async def test_a_hidden_judge_is_hardly_ever_overrun(quota: "RecordingQuota", seed: int) -> None:
    limited, fleet = quota_of(quota), Fleet()
    async with (
        endpoint("hidden", seed) as standin,
        AzureOpenAIService("gpt-4o", quota=limited, endpoint=standin.endpoint, api_key=standin.api_key) as service,
    ):
        await fleet.run(service)

    assert len(fleet.valid) + len(fleet.failed) == PLAN.calls
    late = [place for place in await too_early(standin, limited) if place >= 100]
    assert len(late) <= max(1, len(standin.requests) // 1_000), f"{late} by {standin.draw}"


async def test_a_loop_that_reserves_nothing_is_found_out(
    quota: "RecordingQuota", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted defect: what corrects an answer goes unreserved, under the reservation of the attempt before."""
    limited, fleet = quota_of(quota, headroom=0.0), Fleet()
    async with (
        endpoint("exact") as standin,
        AzureOpenAIService("gpt-4o", quota=limited, endpoint=standin.endpoint, api_key=standin.api_key) as service,
    ):
        ask = service._lane.ask

        async def ask_twice(question: Any, *, request_id: str) -> Any:
            await ask(question, request_id=f"{request_id}-unreserved")
            return await ask(question, request_id=request_id)

        monkeypatch.setattr(service._lane, "ask", ask_twice)
        monkeypatch.setattr(f"{__name__}.PLAN", Plan(calls=20, tpm=PLAN.tpm, rpm=PLAN.rpm))
        await fleet.run(service)

    assert {request.id for request in standin.requests} - set(limited.ids)
