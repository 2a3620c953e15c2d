"""pydantic-ai and LangChain, unmodified, under quota: what they send is what was reserved, streaming included.

They live in an environment of their own: `nox -s libraries`.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx2
import pytest
from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]  # lives in an environment of its own
from openai import AsyncOpenAI
from pydantic import BaseModel, Field
from pydantic_ai import Agent  # type: ignore[import-not-found]  # lives in an environment of its own
from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]  # lives in an environment of its own
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]  # lives in an environment of its own

from penstock_llm import QuotaTransport
from penstock_local_azure import Deployment, OpenAI, Throttled

if TYPE_CHECKING:
    from conftest import RecordingQuota

TPM = 1_000_000
TEXT = "The delivery was late, but the driver was kind."


class Verdict(BaseModel):
    """What somebody thinks of a delivery."""

    score: int = Field(ge=1, le=5)
    reasons: list[str]


GOOD = Verdict(score=4, reasons=["fast"])


@pytest.fixture
async def standin() -> AsyncIterator[OpenAI]:
    deployment = Deployment("gpt-4o", tpm=TPM, rpm=60_000)
    async with OpenAI([deployment], judge="exact", seed=7, latency=0.0) as running:
        yield running


@pytest.fixture
def quota(quota: "RecordingQuota") -> "RecordingQuota":
    return type(quota)(tpm=TPM, headroom=0.0)


@pytest.fixture
async def http_client(quota: "RecordingQuota") -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=QuotaTransport(quota)) as client:
        yield client


@pytest.fixture
def agent(standin: OpenAI, http_client: httpx2.AsyncClient) -> Agent[None, Verdict]:
    client = AsyncOpenAI(base_url=f"{standin.endpoint}/openai/v1", api_key=standin.api_key, http_client=http_client)
    model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client))
    return Agent(model, output_type=Verdict, instructions="Judge the feedback.", retries=2)


@pytest.fixture
def chat(standin: OpenAI, http_client: httpx2.AsyncClient) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o",
        base_url=f"{standin.endpoint}/openai/v1",
        api_key=standin.api_key,
        http_async_client=http_client,
        max_retries=2,
    )


async def assert_paid(standin: OpenAI, quota: "RecordingQuota") -> None:
    """What the endpoint saw was reserved, charged in full, and reported as it was billed."""
    assert [request.id for request in standin.requests] == quota.ids
    assert all(len(reservation.reports) == 1 for reservation in quota.reservations)
    answered = [
        (request, reservation)
        for request, reservation in zip(standin.requests, quota.reservations, strict=True)
        if request.status == 200
    ]
    for request, reservation in answered:
        assert reservation.reports[0]["usage"] == (request.prompt_tokens, request.completion_tokens)
        assert reservation.reserved >= request.judged
    assert await quota.charged() >= sum(request.judged for request in standin.requests)
    assert standin.stats()["gpt-4o"]["http_429"] == 0


async def test_pydantic_ai_answers_with_a_model(
    agent: Agent[None, Verdict], standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", GOOD)

    result = await agent.run("Fast, and kind.")

    assert result.output == GOOD
    assert len(standin.requests) == 1
    await assert_paid(standin, quota)


async def test_pydantic_ais_own_retry_is_a_reservation_of_its_own(
    agent: Agent[None, Verdict], standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", [{"score": 9, "reasons": []}, GOOD])

    result = await agent.run("Fast, and kind.")

    assert result.output == GOOD
    assert len(standin.requests) == 2
    await assert_paid(standin, quota)


async def test_pydantic_ai_streams(agent: Agent[None, Verdict], standin: OpenAI, quota: "RecordingQuota") -> None:
    standin.reply("gpt-4o", TEXT)

    async with agent.run_stream("Fast, and kind.", output_type=str) as result:
        pieces = [piece async for piece in result.stream_text(delta=True)]

    assert "".join(pieces) == TEXT
    assert standin.requests[0].body["stream"] is True
    await assert_paid(standin, quota)


async def test_langchain_answers_with_a_model(chat: ChatOpenAI, standin: OpenAI, quota: "RecordingQuota") -> None:
    standin.reply("gpt-4o", GOOD)

    answers = [
        await chat.with_structured_output(Verdict, method=method).ainvoke("Fast, and kind.")
        for method in ("function_calling", "json_schema")
    ]

    assert answers == [GOOD, GOOD]
    await assert_paid(standin, quota)


async def test_langchains_own_retry_is_a_reservation_of_its_own(
    chat: ChatOpenAI, standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", [Throttled(0.01), TEXT])

    answer = await chat.ainvoke("How was it?")

    assert answer.content == TEXT
    assert [request.status for request in standin.requests] == [429, 200]
    assert [request.id for request in standin.requests] == quota.ids
    assert quota.statuses == ["429", "ok"]


@pytest.mark.parametrize("usage", [True, False])
async def test_langchain_streams(
    chat: ChatOpenAI,
    standin: OpenAI,
    quota: "RecordingQuota",
    usage: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    standin.reply("gpt-4o", TEXT)

    pieces = [piece.text async for piece in chat.astream("How was it?", stream_usage=usage)]

    assert "".join(pieces) == TEXT
    (seen,), (reservation,) = standin.requests, quota.reservations
    assert seen.body.get("stream_options") == ({"include_usage": True} if usage else None)
    assert reservation.reports[0]["usage"] == (seen.prompt_tokens, seen.completion_tokens), "counted if not told"
    await assert_paid(standin, quota)
