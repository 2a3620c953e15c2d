"""What goes wrong by the script, as the SDK meets it, and what the accounts say of it."""

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import BaseModel, ValidationError

from penstock_local_azure import (
    CutAnswer,
    ErrorEvent,
    FilteredAnswer,
    FilteredPrompt,
    GatewayPage,
    InvalidAnswer,
    LateAnswer,
    OpenAI,
    Refusal,
    ServerError,
    StalledAnswer,
    Throttled,
    TruncatedAnswer,
    UnknownLimits,
)

BROKEN_OFF = (openai.APIConnectionError, httpx2.TransportError)
"""What the SDK raises when a stream breaks off; early releases of 3 let the transport's own through."""
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


class Line(BaseModel):
    product: str
    count: int


class Order(BaseModel):
    """Each of its values is checked by Pydantic, also where it need not be there."""

    id: str
    lines: list[Line]
    remark: str | None = None


FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "Order", "schema": Order.model_json_schema()},
}
TOOL = openai.pydantic_function_tool(Order, name="order")


@pytest.fixture
def client(v1: AsyncOpenAI) -> AsyncOpenAI:
    """One route is enough: what is tested here does not know of routes."""
    return v1


async def ask(client: AsyncOpenAI, **options: Any) -> ChatCompletion:
    completion: ChatCompletion = await client.chat.completions.create(
        **{"model": "gpt-4o", "messages": HELLO, "max_completion_tokens": 1_000, **options}
    )
    return completion


def text_of(completion: ChatCompletion) -> str:
    return completion.choices[0].message.content or ""


async def take_into(chunks: list[ChatCompletionChunk], stream: AsyncStream[ChatCompletionChunk]) -> None:
    async for chunk in stream:
        chunks.append(chunk)  # noqa: PERF401  # what came before an error counts


class TestInvalidAnswers:
    async def test_one_value_does_not_fit_the_schema_and_the_answer_ends_as_if_it_did(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        server.faults.add(InvalidAnswer(), nth=2)

        good, bad, later = [await ask(client, response_format=FORMAT) for _ in range(3)]

        Order.model_validate_json(text_of(good))
        assert good.choices[0].message == later.choices[0].message
        assert bad.choices[0].finish_reason == "stop"
        right, wrong = json.loads(text_of(good)), json.loads(text_of(bad))
        assert [name for name in right if right[name] != wrong[name]] == ["id"]
        with pytest.raises(ValidationError):
            Order.model_validate(wrong)

    async def test_an_answer_may_be_no_json_at_all(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(InvalidAnswer("json"))

        bad = text_of(await ask(client, response_format=FORMAT))

        with pytest.raises(json.JSONDecodeError):
            json.loads(bad)

    @pytest.mark.parametrize("how", ["schema", "json"])
    async def test_arguments_of_calls_are_spoiled_alike(self, server: OpenAI, client: AsyncOpenAI, how: Any) -> None:
        server.faults.add(InvalidAnswer(how))

        (choice,) = (await ask(client, tools=[TOOL], tool_choice="required")).choices

        assert choice.message.tool_calls
        for call in choice.message.tool_calls:
            assert call.type == "function"
            with pytest.raises(ValidationError):
                Order.model_validate_json(call.function.arguments)

    async def test_an_answer_in_words_stays_as_it_is(self, server: OpenAI, client: AsyncOpenAI) -> None:
        good = text_of(await ask(client))
        server.faults.add(InvalidAnswer())

        assert text_of(await ask(client)) == good


class TestAnswersThatEndBadly:
    async def test_a_truncated_answer_has_half_its_tokens(self, server: OpenAI, client: AsyncOpenAI) -> None:
        whole = await ask(client)
        server.faults.add(TruncatedAnswer())

        half = await ask(client)

        assert half.choices[0].finish_reason == "length"
        assert text_of(whole).startswith(text_of(half))
        assert half.usage
        assert whole.usage
        assert half.usage.completion_tokens == whole.usage.completion_tokens // 2

    async def test_a_refusal_is_in_its_own_field(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(Refusal("No."))

        (choice,) = (await ask(client, response_format=FORMAT)).choices

        assert (choice.message.refusal, choice.message.content, choice.finish_reason) == ("No.", None, "stop")

    async def test_a_refusal_is_streamed_in_its_own_field(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(Refusal())

        async with client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
            completion = await stream.get_final_completion()

        assert completion.choices[0].message.refusal == "I'm sorry, I can't assist with that."

    async def test_a_filtered_answer_has_no_content_and_says_why(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(FilteredAnswer("hate"))

        completion = await ask(client)

        told: Any = completion.choices[0].to_dict()
        assert (told["finish_reason"], told["message"]["content"]) == ("content_filter", None)
        assert told["content_filter_results"]["hate"] == {"filtered": True, "severity": "high"}

    async def test_what_was_streamed_before_the_filter_spoke_stays(self, server: OpenAI, client: AsyncOpenAI) -> None:
        whole = text_of(await ask(client))
        server.faults.add(FilteredAnswer())

        stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        choices = [choice async for chunk in stream for choice in chunk.choices]

        assert "".join(choice.delta.content or "" for choice in choices) == whole[: len(whole) // 2]
        assert choices[-1].finish_reason == "content_filter"

    async def test_a_filtered_prompt_is_the_error_that_clients_of_azure_look_for(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        server.faults.add(FilteredPrompt("self_harm"))

        with pytest.raises(openai.BadRequestError) as refused:
            await ask(client)

        body: Any = refused.value.body
        assert (body["code"], body["param"], body["status"], body["type"]) == ("content_filter", "prompt", 400, None)
        assert body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
        found = body["innererror"]["content_filter_result"]
        assert {name for name in found if found[name]["filtered"]} == {"self_harm"}


class TestErrors:
    @pytest.mark.parametrize(
        ("why", "code", "said"),
        [
            ("rate", "429", "rate limit"),
            ("capacity", "429", "high demand"),
            ("insufficient_quota", "insufficient_quota", "current quota"),
        ],
    )
    async def test_a_429_says_why_and_how_long_to_wait(
        self, server: OpenAI, client: AsyncOpenAI, why: Any, code: str, said: str
    ) -> None:
        server.faults.add(Throttled(130, why=why))

        with pytest.raises(openai.RateLimitError, match=said) as limited:
            await ask(client)

        headers = limited.value.response.headers
        assert limited.value.code == code
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("130", "130000")

    async def test_it_counts_nowhere_but_in_the_script_s_account(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(Throttled(why="capacity"), nth=1)
        with pytest.raises(openai.RateLimitError):
            await ask(client)

        raw = await client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=HELLO, max_completion_tokens=50
        )

        account = server.stats()["gpt-4o"]
        assert raw.headers["x-ratelimit-remaining-requests"] == "3599"
        assert raw.headers["x-ratelimit-remaining-tokens"] == str(600_000 - 58)
        assert (account["requests"], account["http_429"], account["judged_tokens"]) == (2, 0, 58)
        assert account["faults"] == {"Throttled": 1}

    async def test_it_need_not_say_how_long(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(Throttled(None))

        with pytest.raises(openai.RateLimitError) as limited:
            await ask(client)

        assert not [name for name in limited.value.response.headers if name.startswith("retry-after")]

    @pytest.mark.parametrize(("status", "code"), [(500, "InternalServerError"), (503, "ServiceUnavailable")])
    async def test_an_error_of_the_service_is_judged_but_not_billed(
        self, server: OpenAI, client: AsyncOpenAI, status: int, code: str
    ) -> None:
        server.faults.add(ServerError(status, retry_after=0.25))

        with pytest.raises(openai.InternalServerError) as failed:
            await ask(client)

        account = server.stats()["gpt-4o"]
        assert (failed.value.status_code, failed.value.code) == (status, code)
        assert failed.value.response.headers["retry-after-ms"] == "250"
        assert (account["judged_tokens"], account["billed_tokens"]) == (1_008, 0)

    async def test_the_sdk_s_own_retries_get_over_it(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(ServerError(retry_after=0.01), nth=1)
        server.faults.add(ServerError(408, retry_after=0.01), nth=2)

        assert text_of(await ask(client.with_options(max_retries=2)))
        assert [request.status for request in server.requests] == [500, 408, 200]

    async def test_embeddings_fail_alike(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(ServerError(), on="embeddings")
        await ask(client)

        with pytest.raises(openai.InternalServerError):
            await client.embeddings.create(model="text-embedding-3-small", input="hello")


class TestTheWay:
    async def test_no_answer_lasts_until_the_client_has_had_enough(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(StalledAnswer(), nth=1)

        with pytest.raises(openai.APITimeoutError):
            await ask(client.with_options(timeout=1.0))

        assert server.requests[0].status is None
        assert server.requests[0].billed > 0
        assert text_of(await ask(client))

    async def test_a_connection_may_end_before_the_answer(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(CutAnswer(0), nth=1)

        with pytest.raises(openai.APIConnectionError):
            await ask(client)

        assert server.requests[0].status is None
        assert text_of(await ask(client))

    @pytest.mark.parametrize("after", [0.1, 0.5, 0.9])
    async def test_or_within_it(self, server: OpenAI, client: AsyncOpenAI, after: float) -> None:
        server.faults.add(CutAnswer(after), nth=1)

        with pytest.raises(openai.APIConnectionError):
            await ask(client)

        assert (server.requests[0].status, server.requests[0].fault) == (200, "CutAnswer")
        assert text_of(await ask(client))

    async def test_a_body_may_end_too_early_without_a_sign(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(CutAnswer(abrupt=False))

        with pytest.raises(json.JSONDecodeError):
            await ask(client)

    async def test_a_stream_may_be_cut(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(CutAnswer(0.8))
        chunks: list[ChatCompletionChunk] = []

        stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        with pytest.raises(BROKEN_OFF):
            await take_into(chunks, stream)

        assert len(chunks) > 2
        assert not any(choice.finish_reason for chunk in chunks for choice in chunk.choices)

    async def test_a_stream_may_end_with_an_error(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(ErrorEvent(0.8, code="overloaded"))
        chunks: list[ChatCompletionChunk] = []

        stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError) as failed:
            await take_into(chunks, stream)

        assert (type(failed.value), failed.value.code) == (openai.APIError, "overloaded")
        assert len(chunks) > 2
        assert not any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
        assert (server.requests[0].status, server.requests[0].fault) == (200, "ErrorEvent")

    async def test_which_an_answer_in_one_piece_cannot(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(ErrorEvent())

        assert text_of(await ask(client))

    async def test_a_stream_may_end_too_early_without_a_sign(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.reply("gpt-4o", "word " * 100)
        server.faults.add(CutAnswer(0.5, abrupt=False))

        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO, stream=True)
        body = await raw.http_response.aread()

        assert body.count(b"data: ") > 10
        assert b"[DONE]" not in body

    async def test_a_proxy_s_page_may_come_instead(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(GatewayPage())

        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)

        assert raw.headers["content-type"].startswith("text/html")
        assert server.requests[0].status == 200

    async def test_also_with_a_status_that_says_so(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(GatewayPage(502))

        with pytest.raises(openai.InternalServerError):
            await ask(client)

        assert server.requests[0].status == 502

    async def test_a_stream_may_stall(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(StalledAnswer(0.8), nth=1)
        chunks: list[ChatCompletionChunk] = []

        hasty = client.with_options(timeout=1.0)
        stream = await hasty.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        with pytest.raises(BROKEN_OFF):
            await take_into(chunks, stream)

        assert len(chunks) > 2
        assert text_of(await ask(client))

    async def test_an_answer_may_come_late(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(LateAnswer(0.15), nth=1)
        started = asyncio.get_running_loop().time()

        completion = await ask(client)

        assert asyncio.get_running_loop().time() - started >= 0.15
        assert text_of(completion) == text_of(await ask(client))

    async def test_the_headers_may_not_tell_the_limits(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.faults.add(UnknownLimits())

        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)

        told = {name: number for name, number in raw.headers.items() if name.startswith("x-ratelimit-")}
        assert told == {
            "x-ratelimit-limit-requests": "-1",
            "x-ratelimit-limit-tokens": "-1",
            "x-ratelimit-remaining-requests": "-1",
            "x-ratelimit-remaining-tokens": "-1",
            "x-ratelimit-reset-requests": "0",
            "x-ratelimit-reset-tokens": "0",
        }


async def test_what_went_wrong_is_counted_here_and_in_the_account(server: OpenAI, client: AsyncOpenAI) -> None:
    server.faults.add(Refusal(), every=2)
    for _ in range(5):
        await ask(client)

    assert server.faults.fired["Refusal", "chat", "gpt-4o"] == 2
    assert server.stats()["gpt-4o"]["faults"] == {"Refusal": 2}
    assert [request.fault for request in server.requests] == [None, "Refusal", None, "Refusal", None]


async def test_what_the_judge_refuses_the_script_does_not_count(server: OpenAI, client: AsyncOpenAI) -> None:
    server.faults.add(Refusal(), nth=2, deployment="tiny")
    asked = [await ask(client, model="tiny", max_completion_tokens=40)]
    with pytest.raises(openai.RateLimitError):
        await ask(client, model="tiny", max_completion_tokens=90)
    asked.append(await ask(client, model="tiny", max_completion_tokens=40))

    assert [completion.choices[0].message.refusal is None for completion in asked] == [True, False]
