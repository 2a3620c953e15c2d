"""Answers by order of a test, what the endpoint saw, and limits lowered for a time."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel

from penstock_local_azure import ModelRequest, OpenAI, Refusal, ServerError

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


class Mood(BaseModel):
    mood: str


MOOD = Mood(mood="groß")
TOOL = openai.pydantic_function_tool(Mood, name="mood")
OTHER: Any = {"type": "function", "function": {"name": "other"}}


@pytest.fixture
def client(v1: AsyncOpenAI) -> AsyncOpenAI:
    """One route is enough: what is tested here does not know of routes."""
    return v1


async def ask(client: AsyncOpenAI, **options: Any) -> ChatCompletion:
    completion: ChatCompletion = await client.chat.completions.create(
        **{"model": "gpt-4o", "messages": HELLO, "max_completion_tokens": 1_000, **options}
    )
    return completion


async def text(client: AsyncOpenAI, **options: Any) -> str | None:
    return (await ask(client, **options)).choices[0].message.content


async def arguments(client: AsyncOpenAI, **options: Any) -> list[str]:
    made = (await ask(client, **options)).choices[0].message.tool_calls or []
    return [call.function.arguments for call in made if call.type == "function"]


class TestReplies:
    @pytest.mark.parametrize(
        ("reply", "said"), [("Hello!", "Hello!"), ({"mood": "groß"}, '{"mood":"groß"}'), (MOOD, '{"mood":"groß"}')]
    )
    async def test_a_value_is_said_again_and_again(
        self, server: OpenAI, client: AsyncOpenAI, reply: Any, said: str
    ) -> None:
        server.reply("gpt-4o", reply)

        assert [await text(client), await text(client)] == [said, said]

    async def test_a_list_is_used_up_one_by_one_and_then_answers_are_drawn(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        drawn = await text(client)
        server.reply("gpt-4o", ["one", {"two": 2}])

        assert [await text(client) for _ in range(3)] == ["one", '{"two":2}', drawn]

    async def test_a_function_sees_the_request_and_may_leave_the_answer_to_the_draw(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        def reply(request: ModelRequest) -> str | None:
            said = request.body["messages"][-1]["content"]
            return f"You said {said}." if said == "hello" else None

        drawn = await text(client, messages=[{"role": "user", "content": "bye"}])
        server.reply("gpt-4o", reply)

        assert await text(client) == "You said hello."
        assert await text(client, messages=[{"role": "user", "content": "bye"}]) == drawn

    async def test_none_goes_back_to_drawn_answers(self, server: OpenAI, client: AsyncOpenAI) -> None:
        drawn = await text(client)
        server.reply("gpt-4o", "one")
        server.reply("gpt-4o", None)

        assert await text(client) == drawn

    async def test_another_deployment_s_answers_stay_drawn(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.reply("gpt-4o", "one")

        assert await text(client, model="o4-mini") != "one"

    @pytest.mark.parametrize("choice", ["auto", "required"])
    async def test_an_object_is_the_arguments_where_a_tool_may_be_called(
        self, server: OpenAI, client: AsyncOpenAI, choice: str
    ) -> None:
        server.reply("gpt-4o", MOOD)

        assert await arguments(client, tools=[TOOL, OTHER], tool_choice=choice) == ['{"mood":"groß"}']

    async def test_a_text_is_the_arguments_only_where_a_tool_must_be_called(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        server.reply("gpt-4o", "{")

        assert await arguments(client, tools=[TOOL], tool_choice="required") == ["{"]
        assert await text(client, tools=[TOOL]) == "{"

    async def test_a_certain_function_gets_them(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.reply("gpt-4o", {"a": 1})

        completion = await ask(
            client, tools=[TOOL, OTHER], tool_choice={"type": "function", "function": {"name": "other"}}
        )

        (call,) = completion.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("other", {"a": 1})

    async def test_a_fault_happens_once_for_each_time_it_is_ordered(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.reply("gpt-4o", [ServerError(), Refusal(), "one"])

        with pytest.raises(openai.InternalServerError):
            await ask(client)
        assert (await ask(client)).choices[0].message.refusal
        assert await text(client) == "one"
        assert server.stats()["gpt-4o"]["faults"] == {"ServerError": 1, "Refusal": 1}

    async def test_an_ordered_answer_is_bounded_and_billed_like_any_other(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        server.reply("gpt-4o", "one two three four")

        completion = await ask(client, max_completion_tokens=2)

        assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("one two", "length")
        assert server.requests[0].completion_tokens == 2

    @pytest.mark.parametrize("reply", [7, Mood, [None], Refusal])
    def test_what_cannot_be_answered_is_refused(self, reply: Any) -> None:
        with pytest.raises(TypeError, match="a reply must be a text, a dict, a Pydantic model or a fault"):
            OpenAI().reply("gpt-4o", reply)

    def test_an_unknown_deployment_is_named(self) -> None:
        with pytest.raises(ValueError, match="deployment must be one of gpt-4o, not 'gpt-5'"):
            OpenAI().reply("gpt-5", "one")


class TestRequests:
    async def test_each_is_noted_with_what_was_judged_and_billed(self, server: OpenAI, client: AsyncOpenAI) -> None:
        completion = await ask(client, extra_headers={"x-ms-client-request-id": "mine"})

        (request,) = server.requests
        assert completion.usage
        assert (request.id, request.operation, request.deployment) == ("mine", "chat", "gpt-4o")
        assert (request.status, request.fault) == (200, None)
        assert request.judged == completion.usage.prompt_tokens + 1_000
        assert request.prompt_tokens == completion.usage.prompt_tokens
        assert request.billed == completion.usage.total_tokens
        assert request.body["messages"] == HELLO

    async def test_one_without_an_id_goes_by_that_of_its_answer(self, server: OpenAI, client: AsyncOpenAI) -> None:
        completion = await ask(client)
        with pytest.raises(openai.BadRequestError) as refused:
            await ask(client, messages=[])

        assert [request.id for request in server.requests] == [completion._request_id, refused.value.request_id]

    async def test_refused_ones_are_noted_with_their_status(self, server: OpenAI, client: AsyncOpenAI) -> None:
        refused: list[dict[str, Any]] = [{"model": "none"}, {"messages": []}, {"model": "tiny"}]
        for options in refused:
            with pytest.raises(openai.APIStatusError):
                await ask(client, **options)

        assert [(request.status, request.judged, request.billed) for request in server.requests] == [
            (404, 0, 0),
            (400, 0, 0),
            (429, 0, 0),
        ]

    async def test_what_was_said_is_told_neither_by_the_accounts_nor_by_a_repr(
        self, server: OpenAI, client: AsyncOpenAI
    ) -> None:
        await ask(client, messages=[{"role": "user", "content": "canary"}])

        assert "canary" not in repr(server.requests)
        assert "canary" not in json.dumps(server.stats())


class TestLoweredLimits:
    async def test_the_headers_tell_and_the_judge_obeys(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.lower_tpm("gpt-4o", 2_000)

        raw = await client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=HELLO, max_completion_tokens=1_000
        )
        with pytest.raises(openai.RateLimitError):
            await ask(client)

        assert raw.headers["x-ratelimit-limit-tokens"] == "2000"
        assert raw.headers["x-ratelimit-remaining-tokens"] == str(2_000 - 1_008)

    async def test_what_is_too_great_for_it_is_told_when_it_ends(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.lower_tpm("gpt-4o", 1, seconds=300)
        with pytest.raises(openai.RateLimitError) as limited:
            await ask(client)

        assert 200_000 < int(limited.value.response.headers["retry-after-ms"]) <= 300_000

    async def test_the_last_word_counts(self, server: OpenAI, client: AsyncOpenAI) -> None:
        server.lower_tpm("gpt-4o", 1)
        server.lower_tpm("gpt-4o", 600_000)

        assert await text(client)

    def test_a_wrong_number_is_named(self) -> None:
        with pytest.raises(ValueError, match="tpm must be at least 1"):
            OpenAI().lower_tpm("gpt-4o", 0)
        with pytest.raises(ValueError, match="seconds must be positive"):
            OpenAI().lower_tpm("gpt-4o", 1, seconds=0)
