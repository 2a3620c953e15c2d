"""The unmodified OpenAI SDK talks to the stand-in as it talks to Azure, on both routes."""

from collections.abc import AsyncIterator
from typing import Literal

import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from pydantic import BaseModel, Field

from penstock_local_azure import Deployment, OpenAI


class Part(BaseModel):
    name: str
    weight: float = Field(ge=0, le=1)


class Analysis(BaseModel):
    """Nested, with alternatives and bounds: what a worker asks for."""

    sentiment: Literal["positive", "neutral", "negative"]
    urgency: int = Field(ge=1, le=5)
    parts: list[Part]
    remark: str | None


@pytest.fixture
async def server() -> AsyncIterator[OpenAI]:
    deployments = [Deployment("gpt-4o"), Deployment("tiny", tpm=100, rpm=6_000)]
    async with OpenAI(deployments, judge="exact", seed=2, latency=0.0) as running:
        yield running


@pytest.fixture
async def v1(server: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.endpoint}/openai/v1/", api_key=server.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
async def classic(server: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncAzureOpenAI(
        azure_endpoint=server.endpoint, api_key=server.api_key, api_version="2024-10-21", max_retries=0
    ) as client:
        yield client


def said(text: str) -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": text}]


@pytest.fixture(params=["v1", "classic"])
def client(request: pytest.FixtureRequest, v1: AsyncOpenAI, classic: AsyncOpenAI) -> AsyncOpenAI:
    return {"v1": v1, "classic": classic}[request.param]


async def test_a_chat_is_answered_with_usage(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="gpt-4o", messages=said("hello"), max_completion_tokens=60)

    assert completion.choices[0].message.content
    assert completion.usage
    assert completion.usage.prompt_tokens == 8


async def test_parse_yields_typed_answers_that_vary_with_the_prompt(client: AsyncOpenAI) -> None:
    parsed = []
    for text in ("late", "great", "broken"):
        completion = await client.chat.completions.parse(
            model="gpt-4o", messages=said(text), response_format=Analysis, max_completion_tokens=1_000
        )
        parsed.append(completion.choices[0].message.parsed)

    assert all(isinstance(each, Analysis) for each in parsed)
    assert len({str(each) for each in parsed}) == 3


async def test_an_answer_cut_short_is_the_error_the_sdk_has_for_it(v1: AsyncOpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        await v1.chat.completions.parse(
            model="gpt-4o", messages=said("hello"), response_format=Analysis, max_completion_tokens=2
        )


async def test_a_429_tells_the_sdk_how_long_to_wait(client: AsyncOpenAI) -> None:
    async def ask_on_and_on() -> None:
        while True:
            await client.chat.completions.create(model="tiny", messages=said("hello"), max_completion_tokens=60)

    with pytest.raises(openai.RateLimitError) as limited:
        await ask_on_and_on()

    assert limited.value.code == "429"
    assert limited.value.request_id
    assert 0 < int(limited.value.response.headers["retry-after-ms"]) <= 60_000


async def test_headers_come_with_a_raw_response(v1: AsyncOpenAI) -> None:
    raw = await v1.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=said("hello"), max_completion_tokens=60
    )

    assert int(raw.headers["x-ratelimit-limit-tokens"]) == 600_000
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) == 600_000 - 68


async def test_each_refusal_is_the_error_the_sdk_has_for_it(server: OpenAI, v1: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as not_found:
        await v1.chat.completions.create(model="none", messages=said("hello"))
    with pytest.raises(openai.BadRequestError) as bad_request:
        await v1.chat.completions.create(model="gpt-4o", messages=[])
    with pytest.raises(openai.AuthenticationError):
        await v1.with_options(api_key="wrong").chat.completions.create(model="gpt-4o", messages=said("hello"))

    assert not_found.value.code == "DeploymentNotFound"
    assert bad_request.value.param == "messages"
    assert server.stats()["gpt-4o"]["requests"] == 0


async def test_what_is_not_implemented_is_refused_once_in_spite_of_the_sdk_s_retries(v1: AsyncOpenAI) -> None:
    patient = v1.with_options(max_retries=5)

    with pytest.raises(openai.InternalServerError, match="'stream'"):
        await patient.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True)
    with pytest.raises(openai.InternalServerError, match="POST /openai/v1/embeddings"):
        await patient.embeddings.create(model="gpt-4o", input="hello")
