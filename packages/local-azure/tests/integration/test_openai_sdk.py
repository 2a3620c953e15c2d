"""The unmodified OpenAI SDK talks to the stand-in as it talks to Azure, on both routes."""

import asyncio
import json
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from pydantic import BaseModel, Field

from penstock_local_azure import OpenAI


class Part(BaseModel):
    name: str
    weight: float = Field(ge=0, le=1)


class Analysis(BaseModel):
    """Nested, with alternatives and bounds: what a worker asks for."""

    sentiment: Literal["positive", "neutral", "negative"]
    urgency: int = Field(ge=1, le=5)
    parts: list[Part]
    remark: str | None


def said(text: str) -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": text}]


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


async def test_json_mode_answers_with_an_object(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="gpt-4o", messages=said("in JSON, please"), response_format={"type": "json_object"}
    )

    assert isinstance(json.loads(completion.choices[0].message.content or ""), dict)


async def test_the_synchronous_client_is_served_as_well(server: OpenAI) -> None:
    def ask() -> str | None:
        with openai.OpenAI(base_url=f"{server.endpoint}/openai/v1/", api_key=server.api_key) as client:
            completion = client.chat.completions.create(model="gpt-4o", messages=said("hello"))
            return completion.choices[0].message.content

    assert await asyncio.to_thread(ask)


async def test_every_answer_tells_what_the_content_filter_found(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="gpt-4o", messages=said("hello"))

    told: Any = completion.to_dict()  # the SDK's types do not know what Azure adds
    answer, prompt = (each[0]["content_filter_results"] for each in (told["choices"], told["prompt_filter_results"]))
    assert answer["violence"] == {"filtered": False, "severity": "safe"}
    assert prompt["jailbreak"] == {"filtered": False, "detected": False}


class TestReasoning:
    async def test_the_old_name_of_the_bound_is_refused(self, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="Use 'max_completion_tokens' instead") as refused:
            await client.chat.completions.create(model="o4-mini", messages=said("hello"), max_tokens=100)

        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "max_tokens")

    async def test_hidden_tokens_are_on_the_bill(self, client: AsyncOpenAI) -> None:
        completion = await client.chat.completions.create(model="o4-mini", messages=said("hello"))

        usage = completion.usage
        assert usage
        assert usage.completion_tokens_details
        thought = usage.completion_tokens_details.reasoning_tokens or 0
        assert 0 < thought < usage.completion_tokens

    async def test_they_may_use_up_the_bound_before_a_word_is_said(self, client: AsyncOpenAI) -> None:
        completion = await client.chat.completions.create(
            model="o4-mini", messages=said("hello"), max_completion_tokens=60
        )

        assert (completion.choices[0].finish_reason, completion.choices[0].message.content) == ("length", "")

    async def test_without_effort_there_are_none(self, client: AsyncOpenAI) -> None:
        completion = await client.chat.completions.create(
            model="o4-mini", messages=said("hello"), reasoning_effort="none"
        )

        assert completion.usage
        assert completion.usage.completion_tokens_details
        assert completion.usage.completion_tokens_details.reasoning_tokens == 0


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
    assert 0 < int(raw.headers["x-ratelimit-reset-tokens"]) <= 60
    assert 0 < int(raw.headers["x-ratelimit-reset-requests"]) <= 60


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


async def test_what_is_not_implemented_is_refused_once_in_spite_of_the_sdk_s_retries(
    server: OpenAI, v1: AsyncOpenAI
) -> None:
    patient = v1.with_options(max_retries=5)

    with pytest.raises(openai.InternalServerError, match="'n'"):
        await patient.chat.completions.create(model="gpt-4o", messages=said("hello"), n=2)
    with pytest.raises(openai.InternalServerError, match="POST /openai/v1/responses"):
        await patient.responses.create(model="gpt-4o", input="hello")

    assert [request.status for request in server.requests] == [501]
