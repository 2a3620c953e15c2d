"""Streamed answers: the chunks that the SDK reads, in Azure's order, and what they add up to."""

import asyncio
from typing import Any

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import BaseModel

from penstock_local_azure import OpenAI

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


class Mood(BaseModel):
    mood: str
    urgent: bool


MOOD = openai.pydantic_function_tool(Mood, name="mood")


async def chunks(client: AsyncOpenAI, **options: Any) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, **options)
    return [chunk async for chunk in stream]


def text_of(streamed: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in streamed for choice in chunk.choices)


async def test_the_pieces_are_the_answer_that_comes_without_a_stream(client: AsyncOpenAI) -> None:
    streamed = await chunks(client)
    whole = await client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert text_of(streamed) == whole.choices[0].message.content
    assert len(streamed) > 4


async def test_the_first_chunk_tells_what_the_filter_found_in_the_prompt_and_has_no_choices(
    client: AsyncOpenAI,
) -> None:
    first, second, *_, last = await chunks(client)

    assert (first.choices, first.id, first.created, first.model, first.object) == ([], "", 0, "", "")
    assert first.to_dict()["prompt_filter_results"]
    assert (second.choices[0].delta.role, second.choices[0].delta.content) == ("assistant", "")
    assert last.choices[0].finish_reason == "stop"


async def test_chunks_share_an_id_and_only_the_last_has_a_reason(client: AsyncOpenAI) -> None:
    _, *streamed = await chunks(client)

    assert len({chunk.id for chunk in streamed}) == 1
    assert {chunk.object for chunk in streamed} == {"chat.completion.chunk"}
    assert [chunk.choices[0].finish_reason for chunk in streamed] == [None] * (len(streamed) - 1) + ["stop"]


async def test_usage_comes_last_and_only_when_asked_for(client: AsyncOpenAI) -> None:
    silent = await chunks(client)
    *streamed, last = await chunks(client, stream_options={"include_usage": True})
    whole = await client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert not any(chunk.usage for chunk in silent)
    assert not any(chunk.usage for chunk in streamed)
    assert last.choices == []
    assert last.usage == whole.usage


async def test_a_typed_answer_is_streamed_as_text_that_the_sdk_parses(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="gpt-4o", messages=HELLO, response_format=Mood) as stream:
        completion = await stream.get_final_completion()

    assert isinstance(completion.choices[0].message.parsed, Mood)


async def test_calls_of_tools_are_streamed_piece_by_piece(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="gpt-4o", messages=HELLO, tools=[MOOD], tool_choice="required"
    ) as stream:
        completion = await stream.get_final_completion()

    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        assert call.id
        assert isinstance(call.function.parsed_arguments, Mood)


async def test_a_stream_that_is_too_long_is_cut(client: AsyncOpenAI) -> None:
    streamed = await chunks(client, max_completion_tokens=3, stream_options={"include_usage": True})

    assert streamed[-2].choices[0].finish_reason == "length"
    assert streamed[-1].usage
    assert streamed[-1].usage.completion_tokens == 3


async def test_the_wire_is_server_sent_events_up_to_done(v1: AsyncOpenAI) -> None:
    raw = await v1.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO, stream=True)
    body = (await raw.http_response.aread()).decode()

    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) < 600_000
    assert raw.headers["x-request-id"]
    *events, done, end = body.split("\n\n")
    assert all(event.startswith("data: {") for event in events)
    assert (done, end) == ("data: [DONE]", "")


async def test_the_account_is_the_same_as_without_a_stream(server: OpenAI, v1: AsyncOpenAI) -> None:
    await chunks(v1, max_completion_tokens=100)
    await v1.chat.completions.create(model="gpt-4o", messages=HELLO, max_completion_tokens=100)

    streamed, whole = server.requests
    assert (streamed.judged, streamed.billed, streamed.status) == (whole.judged, whole.billed, 200)


async def test_the_first_byte_comes_after_the_latency() -> None:
    async with (
        OpenAI(seed=1, latency=0.2) as slow,
        AsyncOpenAI(base_url=f"{slow.endpoint}/openai/v1/", api_key=slow.api_key) as client,
    ):
        await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        started = asyncio.get_running_loop().time()
        stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        answered = asyncio.get_running_loop().time()
        await stream.close()

    # A lognormal draw: hardly ever below a quarter of the median.
    assert answered - started > 0.2 / 4


async def test_a_client_that_stops_reading_early_harms_nobody(server: OpenAI, v1: AsyncOpenAI) -> None:
    server.reply("gpt-4o", "word " * 3_000)
    stream = await v1.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    async for _ in stream:
        break
    await stream.close()

    assert text_of(await chunks(v1)) == "word " * 3_000
