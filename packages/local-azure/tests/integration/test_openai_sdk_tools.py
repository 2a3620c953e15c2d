"""Answers that call tools, as agent libraries ask for them: which tool, with which arguments, and when none."""

import json
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
)
from pydantic import BaseModel, Field

from penstock_local_azure import OpenAI
from penstock_tokenizers import encoding_for

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


class Place(BaseModel):
    name: str
    country: str | None = None


class Weather(BaseModel):
    """What instructor, pydantic-ai and langchain-openai send for it is Pydantic's own schema, not a strict one."""

    place: Place
    days: int = Field(default=1, ge=1, le=7)
    unit: Literal["celsius", "kelvin"]


def tool(name: str, schema: dict[str, Any]) -> ChatCompletionFunctionToolParam:
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": schema}}


WEATHER = tool("weather", Weather.model_json_schema())
STRICT = openai.pydantic_function_tool(Weather, name="weather")
TIME = tool("time", {"type": "object", "properties": {}})


async def calls(
    client: AsyncOpenAI, messages: list[ChatCompletionMessageParam] = HELLO, **options: Any
) -> list[ChatCompletionMessageFunctionToolCall]:
    completion = await client.chat.completions.create(
        model="gpt-4o", messages=messages, max_completion_tokens=1_000, **options
    )
    (choice,) = completion.choices
    made = choice.message.tool_calls or []
    assert (choice.message.content is None) == bool(made)
    return [call for call in made if call.type == "function"]


@pytest.mark.parametrize("offered", [WEATHER, STRICT], ids=["lax", "strict"])
@pytest.mark.parametrize("choice", ["required", "auto", {"type": "function", "function": {"name": "weather"}}])
async def test_the_arguments_fit_the_schema_of_the_function(client: AsyncOpenAI, offered: Any, choice: Any) -> None:
    made = await calls(client, tools=[offered], tool_choice=choice)

    assert made
    for call in made:
        assert call.function.name == "weather"
        Weather.model_validate_json(call.function.arguments)


async def test_without_a_choice_the_answer_may_call(client: AsyncOpenAI) -> None:
    assert await calls(client, tools=[WEATHER])


async def test_with_the_choice_of_none_it_does_not(client: AsyncOpenAI) -> None:
    assert not await calls(client, tools=[WEATHER], tool_choice="none")


async def test_what_a_function_takes_that_takes_nothing_is_an_empty_object(client: AsyncOpenAI) -> None:
    made = await calls(client, tools=[TIME], tool_choice="required", parallel_tool_calls=False)

    assert [json.loads(call.function.arguments) for call in made] == [{}]


async def test_a_certain_function_is_called_once_and_ends_the_answer_as_a_text_does(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="gpt-4o",
        messages=HELLO,
        tools=[TIME, WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )

    (choice,) = completion.choices
    (call,) = choice.message.tool_calls or []
    assert choice.finish_reason == "stop"
    assert call.type == "function"
    assert call.function.name == "weather"


async def test_several_may_be_called_at_once_unless_told_not_to(client: AsyncOpenAI) -> None:
    asked: list[list[ChatCompletionMessageParam]] = [[{"role": "user", "content": str(turn)}] for turn in range(30)]
    freely = [await calls(client, each, tools=[TIME, WEATHER]) for each in asked]
    singly = [await calls(client, each, tools=[TIME, WEATHER], parallel_tool_calls=False) for each in asked]

    assert {len(made) for made in freely} == {1, 2}
    assert {len(made) for made in singly} == {1}
    assert {call.function.name for made in singly for call in made} == {"time", "weather"}
    ids = [call.id for made in (*freely, *singly) for call in made]
    assert len(set(ids)) == len(ids)


async def test_a_loop_of_calls_ends_with_an_answer_in_words(client: AsyncOpenAI) -> None:
    made = await calls(client, tools=[WEATHER])
    messages: list[Any] = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump() for call in made]},
        *({"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in made),
    ]

    completion = await client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])

    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.content


async def test_parse_yields_the_arguments_as_a_model(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.parse(model="gpt-4o", messages=HELLO, tools=[STRICT])

    for call in completion.choices[0].message.tool_calls or []:
        assert isinstance(call.function.parsed_arguments, Weather)


async def test_tools_and_calls_cost_tokens(server: OpenAI, v1: AsyncOpenAI) -> None:
    plain = await v1.chat.completions.create(model="gpt-4o", messages=HELLO)
    tooled = await v1.chat.completions.create(
        model="gpt-4o", messages=HELLO, tools=[WEATHER], tool_choice="required", max_completion_tokens=500
    )

    assert plain.usage
    assert tooled.usage
    assert tooled.usage.prompt_tokens > plain.usage.prompt_tokens + 50
    encoding = encoding_for("gpt-4o")
    called = [call.function for call in tooled.choices[0].message.tool_calls or [] if call.type == "function"]
    assert tooled.usage.completion_tokens == sum(
        len(encoding.encode_ordinary(text)) for each in called for text in (each.name, each.arguments)
    )
    assert server.requests[-1].judged == tooled.usage.prompt_tokens + 500


@pytest.mark.parametrize(
    ("choice", "more"),
    [("auto", 0), ("required", 0), ("none", 1), ({"type": "function", "function": {"name": "weather"}}, 8)],
)
async def test_what_is_said_about_the_choice_of_a_tool_costs_tokens(v1: AsyncOpenAI, choice: Any, more: int) -> None:
    silent = await v1.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[WEATHER])
    chosen = await v1.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[WEATHER], tool_choice=choice)

    assert silent.usage
    assert chosen.usage
    assert chosen.usage.prompt_tokens - silent.usage.prompt_tokens == more


async def test_arguments_that_are_too_long_are_cut(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="gpt-4o", messages=HELLO, tools=[WEATHER], tool_choice="required", max_completion_tokens=3
    )

    assert completion.choices[0].finish_reason == "length"
    assert completion.usage
    assert completion.usage.completion_tokens == 3
