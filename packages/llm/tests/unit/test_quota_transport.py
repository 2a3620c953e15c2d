"""The SDK itself under quota: each of its requests is reserved, and settled by what its answer says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncAzureOpenAI, AsyncOpenAI

from penstock_llm import NotSent, QuotaTransport
from penstock_llm._request_cost import read_request
from penstock_token_client import TokenLimitExceeded
from penstock_tokenizers import count_messages, count_prompt, count_schema, count_text, encoding_for

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

PROMPT: "list[ChatCompletionMessageParam]" = [{"role": "user", "content": "How was it?"}]
WEATHER: "ChatCompletionToolParam" = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
ENCODING = encoding_for("gpt-4o")
PROMPT_TOKENS = count_messages(ENCODING, [dict(message) for message in PROMPT])
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def word(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    """Write one event of a stream."""
    delta = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


DONE = "data: [DONE]\n\n"


@pytest.fixture
async def client(endpoint: "ScriptedEndpoint", quota: "RecordingQuota") -> AsyncIterator[AsyncOpenAI]:
    http_client = httpx2.AsyncClient(transport=QuotaTransport(quota))
    async with AsyncOpenAI(
        api_key="k", base_url=f"{endpoint.url}/openai/v1", http_client=http_client, max_retries=2
    ) as made:
        yield made


async def test_a_request_is_reserved_and_what_it_used_is_reported(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says("Fine.", usage=(11, 3), headers={"x-ratelimit-remaining-tokens": "77"})

    completion = await client.chat.completions.create(model="gpt-4o", messages=PROMPT, max_completion_tokens=50)

    assert completion.choices[0].message.content == "Fine."
    (reservation,) = quota.reservations
    (report,) = reservation.reports
    assert (reservation.reserved, reservation.max_tokens) == (PROMPT_TOKENS + 50, 50)
    assert endpoint.ids == [reservation.request_id]
    assert (report["usage"], report["status"]) == ((11, 3), "ok")
    assert report["headers"]["x-ratelimit-remaining-tokens"] == "77"


async def test_a_request_that_does_not_say_its_largest_answer_is_given_one(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says("Fine.")

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT, temperature=0)

    (seen,) = endpoint.requests
    assert seen.body == {
        "model": "gpt-4o",
        "messages": PROMPT,
        "temperature": 0,
        "max_completion_tokens": 1024,
    }
    assert quota.reservations[0].max_tokens == 1024


async def test_what_a_request_says_is_sent_as_it_is(client: AsyncOpenAI, endpoint: "ScriptedEndpoint") -> None:
    endpoint.says("Fine.")

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT, max_tokens=7, n=3)

    assert endpoint.requests[0].body == {"model": "gpt-4o", "messages": PROMPT, "max_tokens": 7, "n": 3}


async def test_several_choices_cost_several_answers(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says("Fine.")

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT, max_tokens=7, n=3)

    assert quota.reservations[0].max_tokens == 21


async def test_tools_and_schemas_are_estimated_too(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"score": {"type": "integer"}}}
    endpoint.says("Fine.")
    endpoint.says("{}")

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT, tools=[WEATHER], max_tokens=1)
    await client.chat.completions.create(
        model="gpt-4o",
        messages=PROMPT,
        response_format={"type": "json_schema", "json_schema": {"name": "rating", "schema": schema}},
        max_tokens=1,
    )

    with_tools, with_schema = (reservation.reserved - 1 for reservation in quota.reservations)
    assert with_tools == count_prompt(ENCODING, [dict(m) for m in PROMPT], [dict(WEATHER)])
    assert with_schema >= PROMPT_TOKENS + count_schema(ENCODING, schema)


async def test_each_try_of_the_library_has_a_reservation_of_its_own(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.fails(429, headers={"retry-after-ms": "1"})
    endpoint.fails(500, headers={"retry-after-ms": "1"})
    endpoint.says("Fine.")

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT)

    assert endpoint.ids == quota.ids
    assert len(set(quota.ids)) == 3
    assert quota.statuses == ["429", "error", "ok"]
    assert quota.reservations[0].reports[0]["headers"]["retry-after-ms"] == "1"
    assert await quota.charged() >= sum(reservation.reserved for reservation in quota.reservations)


async def test_an_answer_cut_off_is_reported_as_such(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says("Fi", finish_reason="length")

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT)

    assert quota.statuses == ["truncated"]


async def test_an_answer_without_usage_is_settled_at_its_estimate(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says("Fine.", usage=None)

    await client.chat.completions.create(model="gpt-4o", messages=PROMPT)

    (reservation,) = quota.reservations
    assert sum(reservation.reports[0]["usage"]) == reservation.reserved


@pytest.mark.parametrize(
    "usage", ['{"prompt_tokens": -1}', '{"prompt_tokens": 7, "completion_tokens": -3}', "[" * 9_999]
)
async def test_a_usage_that_cannot_be_meant_disturbs_nobody(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota", usage: str
) -> None:
    body = f'{{"choices": [], "usage": {usage}}}'
    endpoint.sends(200, body)
    async with httpx2.AsyncClient(transport=QuotaTransport(quota)) as http:
        url = f"{endpoint.url}/openai/v1/chat/completions"
        response = await http.post(url, json={"model": "gpt-4o", "messages": PROMPT})

    assert response.text == body
    (reservation,) = quota.reservations
    assert sum(reservation.reports[0]["usage"]) == reservation.reserved


async def test_a_stream_reports_the_usage_of_its_last_chunk(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.streams(word("Fi"), word("ne."), word("", "stop"), {"choices": [], "usage": USAGE}, DONE)

    stream = await client.chat.completions.create(
        model="gpt-4o", messages=PROMPT, stream=True, stream_options={"include_usage": True}
    )
    assert not quota.reservations[0].reports, "nothing is settled before the end"
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert text == "Fine."
    (report,) = quota.reservations[0].reports
    assert (report["usage"], report["status"]) == ((11, 3), "ok")


async def test_a_stream_without_usage_is_counted_by_its_text(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    said = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
    endpoint.streams(word("Fine, "), said, word("", "length"), DONE)

    stream = await client.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True)
    _ = [chunk async for chunk in stream]

    (report,) = quota.reservations[0].reports
    tokens = count_text(ENCODING, 'Fine, weather{"city": "Oslo"}')
    assert (report["usage"], report["status"]) == ((PROMPT_TOKENS, tokens), "truncated")


async def test_a_stream_whose_reader_stops_is_settled_by_what_it_read(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.streams(word("Fine, "), word("thanks"), then="hangs")

    async with await client.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content == "thanks":
                break

    (reservation,) = quota.reservations
    (report,) = reservation.reports
    assert (report["usage"], report["status"]) == (
        (PROMPT_TOKENS, count_text(ENCODING, "Fine, thanks")),
        "error",
    )
    assert reservation.left_at is not None
    assert await quota.charged() >= reservation.reserved, "the endpoint charged all of it"


@pytest.mark.parametrize(
    ("last", "then"), [([], "cuts"), ([{"error": {"code": "overloaded", "message": "Sorry."}}], "ends")]
)
async def test_a_stream_that_breaks_off_is_an_error_and_stays_charged(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", last: list[Any], then: Any
) -> None:
    endpoint.streams(word("Fine, "), *last, then=then)

    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        _ = [
            chunk async for chunk in await client.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True)
        ]

    (reservation,) = quota.reservations
    assert [report["status"] for report in reservation.reports] == ["error"]
    assert await quota.charged() >= reservation.reserved


async def test_a_cancelled_request_stays_charged(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.hangs()
    call = asyncio.create_task(client.chat.completions.create(model="gpt-4o", messages=PROMPT))
    await endpoint.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    (reservation,) = quota.reservations
    assert not reservation.reports
    assert not reservation.released
    assert reservation.left_at is not None
    assert await quota.charged() >= reservation.reserved


async def test_what_never_left_is_given_back(quota: "RecordingQuota", unused_tcp_port: int) -> None:
    http_client = httpx2.AsyncClient(transport=QuotaTransport(quota))
    url = f"http://127.0.0.1:{unused_tcp_port}/openai/v1"
    async with AsyncOpenAI(api_key="k", base_url=url, http_client=http_client, max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="gpt-4o", messages=PROMPT)

    assert quota.reservations[0].released
    assert await quota.charged() == 0


@pytest.mark.parametrize("limit", [900, 2_000])
async def test_without_quota_nothing_is_sent_and_the_library_does_not_try_again(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota", limit: int
) -> None:
    permanent = limit > 1_000
    tight = type(quota)(tpm=1_000)
    http_client = httpx2.AsyncClient(transport=QuotaTransport(tight, deadline=0.05))
    async with AsyncOpenAI(api_key="k", base_url=endpoint.url, http_client=http_client, max_retries=2) as client:
        await tight.lock_tokens(500)
        with pytest.raises(NotSent) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=PROMPT, max_tokens=limit)

    assert isinstance(caught.value, openai.OpenAIError)
    assert isinstance(caught.value.__cause__, TokenLimitExceeded)
    assert (caught.value.permanent, caught.value.environment) == (permanent, not permanent)
    assert (caught.value.retry_after is None) is permanent
    assert not endpoint.requests


async def test_what_cannot_be_counted_is_not_sent(client: AsyncOpenAI, endpoint: "ScriptedEndpoint") -> None:
    picture: ChatCompletionMessageParam = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
    }
    with pytest.raises(NotSent, match="'image_url' cannot be counted") as caught:
        await client.chat.completions.create(model="gpt-4o", messages=[picture])

    assert caught.value.permanent
    assert not endpoint.requests


async def test_embeddings_draw_on_the_pool_of_their_deployment(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    pool = type(quota)()
    embedding = {"object": "embedding", "index": 0, "embedding": [1.0]}
    endpoint.sends(200, json.dumps({"data": [embedding], "usage": {"prompt_tokens": 5, "total_tokens": 5}}))
    http_client = httpx2.AsyncClient(transport=QuotaTransport(quota, pools={"text-embedding-3-small": pool}))
    async with AsyncOpenAI(api_key="k", base_url=endpoint.url, http_client=http_client) as client:
        await client.embeddings.create(
            model="text-embedding-3-small", input=["hello world", "hello"], encoding_format="float"
        )

    (reservation,) = pool.reservations
    assert not quota.reservations
    assert (reservation.reserved, reservation.max_tokens) == (3, 0)
    assert reservation.reports[0]["usage"] == (5, 0)


async def test_on_the_classic_route_the_path_names_the_deployment(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    mine = type(quota)()
    transport = QuotaTransport(quota, pools={"chat": mine}, encodings={"chat": "gpt-4o"})
    endpoint.says("Fine.")
    async with AsyncAzureOpenAI(
        api_key="k",
        azure_endpoint=endpoint.url,
        api_version="2024-10-21",
        http_client=httpx2.AsyncClient(transport=transport),
    ) as client:
        await client.chat.completions.create(model="chat", messages=PROMPT)

    assert mine.ids == endpoint.ids


async def test_the_responses_api_is_estimated_by_its_json(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    body = {"id": "r", "object": "response", "output": [], "usage": {"input_tokens": 9, "output_tokens": 4}}
    endpoint.sends(200, json.dumps(body))

    await client.responses.create(model="gpt-4o", input="How was it?", instructions="Be kind.")

    (reservation,) = quota.reservations
    assert endpoint.requests[0].body["max_output_tokens"] == reservation.max_tokens == 1024
    assert reservation.reserved - 1024 >= count_text(ENCODING, "How was it?Be kind.")
    assert reservation.reports[0]["usage"] == (9, 4)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"input": "And then?", "previous_response_id": "resp_1"}, "previous_response_id: what the endpoint remembers"),
        ({"input": "And then?", "conversation": "conv_1"}, "conversation: what the endpoint remembers"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt: what the endpoint remembers"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "'item_reference' cannot be counted"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/a"}]}]},
            "'input_image' cannot be counted",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
            "'input_file' cannot be counted",
        ),
    ],
)
async def test_what_the_body_of_a_response_only_points_to_is_not_sent(
    client: AsyncOpenAI,
    endpoint: "ScriptedEndpoint",
    quota: "RecordingQuota",
    request_: dict[str, Any],
    complaint: str,
) -> None:
    with pytest.raises(NotSent, match=complaint) as caught:
        await client.responses.create(model="gpt-4o", **request_)

    assert caught.value.permanent
    assert not endpoint.requests
    assert not quota.reservations


@pytest.mark.parametrize(
    ("prompt", "answers"), [("How?", 1), (["How?", "Why?", "When?"], 3), ([4438, 30], 1), ([[4438, 30], [11]], 2)]
)
async def test_each_prompt_of_a_completion_is_left_room_for_its_answers(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", prompt: Any, answers: int
) -> None:
    endpoint.sends(200, json.dumps({"choices": [], "usage": USAGE}))

    await client.completions.create(model="gpt-35-turbo-instruct", prompt=prompt, max_tokens=7, n=2)

    assert quota.reservations[0].max_tokens == 7 * 2 * answers


async def test_a_stream_of_the_responses_api_reports_its_usage(
    client: AsyncOpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    usage = {"input_tokens": 9, "output_tokens": 4}
    endpoint.streams(
        {"type": "response.output_text.delta", "delta": "Fine."},
        {"type": "response.completed", "response": {"status": "completed", "usage": usage}},
    )

    _ = [event async for event in await client.responses.create(model="gpt-4o", input="How was it?", stream=True)]

    (report,) = quota.reservations[0].reports
    assert (report["usage"], report["status"]) == ((9, 4), "ok")


async def test_what_costs_no_tokens_passes_without_a_reservation(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.sends(200, "{}")
    async with httpx2.AsyncClient(transport=QuotaTransport(quota)) as http:
        await http.post(f"{endpoint.url}/openai/v1/files", json={"purpose": "batch"})

    assert len(endpoint.requests) == 1
    assert not quota.reservations


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "function", "name", "json_schema", "schema", "x"]),
            below,
        )
    ),
    max_leaves=20,
)
BODIES = st.dictionaries(
    st.sampled_from(
        ["messages", "tools", "functions", "tool_choice", "response_format", "input", "n", "max_tokens", "model"]
    ),
    JSON,
)


@given(body=BODIES, operation=st.sampled_from(["chat/completions", "completions", "responses", "embeddings"]))
def test_whatever_a_body_holds_it_is_counted_or_refused(body: dict[str, Any], operation: str) -> None:
    cost = read_request(f"/openai/v1/{operation}", json.dumps(body).encode())
    assert cost is not None
    with contextlib.suppress(ValueError):  # the error that becomes `NotSent`
        assert cost.prompt_tokens(ENCODING) >= 0


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "7"])
def test_what_is_no_request_costs_nothing(body: str) -> None:
    assert read_request("/openai/v1/chat/completions", body.encode()) is None


@pytest.mark.parametrize("options", [{"max_completion_tokens": 0}, {"deadline": 0}])
def test_options_are_checked(quota: "RecordingQuota", options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        QuotaTransport(quota, **options)
