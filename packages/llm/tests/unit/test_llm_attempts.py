"""The attempt loop, over a real socket: one reservation per request, settled by what the endpoint said."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from penstock_llm import (
    AnswerRefused,
    AnswerTruncated,
    AzureOpenAIService,
    ContentFiltered,
    DeadlineExceeded,
    EndpointUnavailable,
    InvalidAnswer,
    RequestRejected,
    Usage,
)
from penstock_token_client import TokenLimitExceeded

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint

PROMPT = [{"role": "user", "content": "How was it?"}]
SOON = {"retry-after-ms": "20"}


class Verdict(BaseModel):
    score: int
    reason: str


GOOD = '{"score": 4, "reason": "fast"}'
BAD = '{"score": "four", "reason": "fast"}'


async def test_a_valid_answer_takes_one_reservation_and_one_request(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says(GOOD, usage=(31, 12), headers={"x-ratelimit-remaining-tokens": "77"})
    completion = await service.complete(Verdict, PROMPT)
    assert completion.value == Verdict(score=4, reason="fast")
    assert completion.usage == Usage(prompt_tokens=31, completion_tokens=12)
    assert completion.engine == "native"
    (reservation,) = quota.reservations
    (report,) = reservation.reports
    assert endpoint.ids == [reservation.request_id] == [attempt.request_id for attempt in completion.attempts]
    assert (report["usage"], report["status"]) == ((31, 12), "ok")
    assert report["headers"]["x-ratelimit-remaining-tokens"] == "77"


async def test_the_request_says_what_was_reserved(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says(GOOD)
    await service.complete(Verdict, PROMPT, max_tokens=300)
    (seen,), (reservation,) = endpoint.requests, quota.reservations
    assert seen.path == "/openai/v1/chat/completions"
    assert seen.headers["authorization"] == "Bearer secret"
    assert seen.body["model"] == "gpt-4o"
    assert seen.body["messages"] == PROMPT
    assert seen.body["max_completion_tokens"] == reservation.max_tokens == 300
    assert reservation.reserved == service.estimate_token_count(PROMPT, 300, Verdict)
    form = seen.body["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("Verdict", True)
    assert form["schema"]["required"] == ["score", "reason"]
    assert form["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("invalid", [BAD, "no JSON", '{"score": 4}', ""])
async def test_an_invalid_answer_is_fed_back_under_a_reservation_of_its_own(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", invalid: str
) -> None:
    endpoint.says(invalid, usage=(31, 12))
    endpoint.says(invalid, usage=(60, 12))
    endpoint.says(GOOD, usage=(90, 10))
    completion = await service.complete(Verdict, PROMPT)
    assert completion.value.score == 4
    assert [attempt.outcome for attempt in completion.attempts] == ["invalid", "invalid", "ok"]
    assert completion.usage == Usage(prompt_tokens=181, completion_tokens=34)
    assert endpoint.ids == quota.ids
    assert len(set(quota.ids)) == 3
    reserved = [reservation.reserved for reservation in quota.reservations]
    assert reserved == sorted(set(reserved)), "the prompt grows, and so must what is reserved for it"
    shown = endpoint.requests[1].body["messages"]
    assert shown[: len(PROMPT)] == PROMPT
    assert [message["role"] for message in shown[len(PROMPT) :]] == ["assistant", "user"]
    assert shown[1]["content"] == invalid


async def test_the_model_is_told_where_its_answer_fails(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint"
) -> None:
    endpoint.says(BAD)
    endpoint.says(GOOD)
    await service.complete(Verdict, PROMPT)
    correction = endpoint.requests[1].body["messages"][-1]["content"]
    assert "score" in correction
    assert "valid integer" in correction


async def test_answers_that_stay_invalid_end_in_an_error_with_locations_and_types(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    for _ in range(3):
        endpoint.says(BAD)
    with pytest.raises(InvalidAnswer, match="the answer does not fit Verdict: score: int_parsing") as caught:
        await service.structured_completion(Verdict, PROMPT, max_retries=2)
    error = caught.value
    assert error.failures == (("score", "int_parsing"),)
    assert (error.permanent, error.environment, error.retry_after, error.status) == (False, False, None, 200)
    assert error.usage == Usage(prompt_tokens=60, completion_tokens=30)
    assert error.quota_wait == sum(attempt.quota_wait for attempt in error.attempts)
    assert 0 < error.model_time == sum(attempt.seconds for attempt in error.attempts)
    assert [attempt.request_id for attempt in error.attempts] == quota.ids == endpoint.ids


@pytest.mark.parametrize("status", [429, 500, 503, 408])
async def test_a_passing_failure_is_waited_out_without_holding_a_reservation(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", status: int
) -> None:
    endpoint.fails(status, headers=SOON)
    endpoint.says(GOOD)
    completion = await service.complete(Verdict, PROMPT)
    first, second = quota.reservations
    assert first.left_at is not None
    assert second.obtained_at - first.left_at >= 0.02
    assert completion.retry_wait >= 0.02
    assert quota.statuses == ["429" if status == 429 else "error", "ok"]
    assert first.reports[0]["headers"]["retry-after-ms"] == "20"
    assert await quota.charged() >= first.reserved + second.reserved, "what was sent stays charged"


async def test_failures_that_do_not_pass_end_in_an_error_of_the_environment(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    for _ in range(3):
        endpoint.fails(500, headers=SOON)
    with pytest.raises(EndpointUnavailable) as caught:
        await service.complete(Verdict, PROMPT, max_retries=2)
    error = caught.value
    assert (error.status, error.permanent, error.environment, error.retry_after) == (500, False, True, 0.02)
    assert len(error.attempts) == 3
    assert quota.ids == endpoint.ids


@pytest.mark.parametrize(
    ("status", "code", "headers", "retry_after"),
    [
        (401, "401", {}, None),
        (403, "403", {}, None),
        (404, "DeploymentNotFound", {}, None),
        (429, "429", {"retry-after": "130"}, 130.0),
        (429, "insufficient_quota", SOON, 0.02),
        (501, "NotImplemented", {"x-should-retry": "false"}, None),
    ],
)
async def test_what_seconds_will_not_mend_is_the_environments_fault_at_once(
    service: AzureOpenAIService,
    endpoint: "ScriptedEndpoint",
    status: int,
    code: str,
    headers: dict[str, str],
    retry_after: float | None,
) -> None:
    endpoint.fails(status, code=code, headers=headers)
    with pytest.raises(EndpointUnavailable) as caught:
        await service.complete(Verdict, PROMPT)
    assert caught.value.environment
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (status, code, retry_after)
    assert len(endpoint.requests) == 1


async def test_a_wrong_request_is_rejected_for_good(service: AzureOpenAIService, endpoint: "ScriptedEndpoint") -> None:
    endpoint.fails(400, code="context_length_exceeded", param="messages", message="Too long.")
    with pytest.raises(RequestRejected, match=r"400 \(code=context_length_exceeded, param=messages\)") as caught:
        await service.complete(Verdict, PROMPT)
    assert caught.value.permanent
    assert not caught.value.environment
    assert caught.value.detail is not None
    assert "Too long." in caught.value.detail


async def test_a_refusal_is_final(service: AzureOpenAIService, endpoint: "ScriptedEndpoint") -> None:
    endpoint.says(None, refusal="I would rather not.")
    with pytest.raises(AnswerRefused) as caught:
        await service.complete(Verdict, PROMPT)
    assert caught.value.permanent
    assert (caught.value.refusal, caught.value.status) == ("I would rather not.", 200)
    assert caught.value.usage.total_tokens == 30


async def test_a_filtered_prompt_is_final(service: AzureOpenAIService, endpoint: "ScriptedEndpoint") -> None:
    results = {"violence": {"filtered": True}, "hate": {"filtered": False}}
    endpoint.fails(400, code="content_filter", innererror={"content_filter_result": results})
    with pytest.raises(ContentFiltered, match=r"stopped the prompt \(violence\)") as caught:
        await service.complete(Verdict, PROMPT)
    assert caught.value.permanent


async def test_a_filtered_answer_is_final(service: AzureOpenAIService, endpoint: "ScriptedEndpoint") -> None:
    endpoint.says(None, finish_reason="content_filter", content_filter_results={"hate": {"filtered": True}})
    with pytest.raises(ContentFiltered, match=r"stopped the answer \(hate\)") as caught:
        await service.complete(Verdict, PROMPT)
    assert caught.value.attempts[0].outcome == "filtered"


async def test_an_answer_cut_off_early_is_asked_for_once_more_with_all_that_is_allowed(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says('{"score": 4, "rea', finish_reason="length")
    endpoint.says(GOOD)
    completion = await service.complete(Verdict, PROMPT, max_tokens=50)
    assert completion.value.score == 4
    assert [seen.body["max_completion_tokens"] for seen in endpoint.requests] == [50, 1024]
    assert [reservation.max_tokens for reservation in quota.reservations] == [50, 1024]
    assert endpoint.requests[1].body["messages"] == PROMPT
    assert quota.statuses == ["truncated", "ok"]


async def test_an_answer_cut_off_at_the_largest_size_is_final(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint"
) -> None:
    endpoint.says('{"score": 4, "rea', finish_reason="length")
    with pytest.raises(AnswerTruncated, match="max_completion_tokens=1024") as caught:
        await service.complete(Verdict, PROMPT)
    assert (caught.value.permanent, caught.value.status) == (True, 200)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("body", ["no JSON", "{}", '{"choices": []}'])
async def test_a_body_that_is_no_completion_is_asked_for_again(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", body: str
) -> None:
    endpoint.sends(200, body, headers=SOON)
    endpoint.says(GOOD)
    completion = await service.complete(Verdict, PROMPT)
    assert [attempt.outcome for attempt in completion.attempts] == ["unavailable", "ok"]
    assert quota.statuses == ["error", "ok"]


async def test_an_answer_without_usage_is_settled_at_its_estimate(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says(GOOD, usage=None)
    await service.complete(Verdict, PROMPT)
    (reservation,) = quota.reservations
    assert sum(reservation.reports[0]["usage"]) == reservation.reserved


@pytest.mark.parametrize("usage", [(-1, 3), (True, 3), ("7", 3), (7, -3), (7, 2**70)])
async def test_a_usage_that_cannot_be_meant_is_none(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", usage: Any
) -> None:
    said = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    choice = {"message": {"role": "assistant", "content": GOOD}, "finish_reason": "stop"}
    endpoint.sends(200, json.dumps({"choices": [choice], "usage": said}))
    endpoint.streams({"choices": [{"delta": {"content": "Fine."}, "finish_reason": "stop"}]}, {"usage": said})

    completion = await service.complete(Verdict, PROMPT, max_retries=0)
    async with service.stream_prompt("", "How was it?", max_retries=0) as stream:
        assert [piece async for piece in stream] == ["Fine."]

    assert completion.attempts[0].usage is None
    first, second = quota.reservations
    assert sum(first.reports[0]["usage"]) == first.reserved, "as by an answer without usage"
    assert second.reports[0]["usage"][1] == 2


async def test_a_connection_cut_in_the_answer_stays_charged_and_is_tried_again(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.cuts()
    endpoint.says(GOOD)
    completion = await service.complete(Verdict, PROMPT)
    assert [attempt.status for attempt in completion.attempts] == [None, 200]
    assert quota.statuses == ["error", "ok"]
    assert await quota.charged() >= sum(reservation.reserved for reservation in quota.reservations)


async def test_an_endpoint_that_hangs_up_is_told_from_one_that_is_silent(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.hangs_up()
    with pytest.raises(EndpointUnavailable, match=r"gave no answer \(ServerDisconnectedError\)") as caught:
        await service.complete(Verdict, PROMPT, max_retries=0)
    assert caught.value.sent
    assert quota.statuses == ["error"]


async def test_what_never_reached_the_endpoint_is_given_back(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    url = endpoint.url
    await endpoint.server.close()
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=url, api_key="secret") as service:
        with pytest.raises(EndpointUnavailable) as caught:
            await service.complete(Verdict, PROMPT, max_retries=0)
    assert caught.value.environment
    assert not caught.value.sent
    assert quota.reservations[0].released
    assert await quota.charged() == 0


async def test_silence_is_a_timeout_and_stays_charged(endpoint: "ScriptedEndpoint", quota: "RecordingQuota") -> None:
    endpoint.hangs()
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=endpoint.url, api_key="secret", timeout=0.05
    ) as service:
        with pytest.raises(EndpointUnavailable, match=r"gave no answer \(timeout\)") as caught:
            await service.complete(Verdict, PROMPT, max_retries=0)
    assert caught.value.sent
    assert quota.statuses == ["error"]
    assert await quota.charged() >= quota.reservations[0].reserved


async def test_a_deadline_ends_a_call_in_flight(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.hangs()
    with pytest.raises(DeadlineExceeded, match=r"deadline of 0\.2 s") as caught:
        await service.complete(Verdict, PROMPT, deadline=0.2)
    assert caught.value.environment
    assert [attempt.request_id for attempt in caught.value.attempts] == endpoint.ids == quota.ids
    assert await quota.charged() >= quota.reservations[0].reserved


async def test_a_wait_that_would_pass_the_deadline_is_not_begun(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint"
) -> None:
    endpoint.fails(429, headers={"retry-after": "60"})
    async with asyncio.timeout(10):
        with pytest.raises(EndpointUnavailable) as caught:
            await service.complete(Verdict, PROMPT, deadline=30.0)
    assert caught.value.retry_after == 60.0


async def test_the_deadline_bounds_the_wait_for_quota(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.says(GOOD)
    await service.complete(Verdict, PROMPT, deadline=30.0)
    deadline = quota.reservations[0].deadline
    assert deadline is not None
    assert 0 < deadline <= 30.0


async def test_a_cancelled_call_stays_charged(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.hangs()
    call = asyncio.create_task(service.complete(Verdict, PROMPT))
    await endpoint.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    (reservation,) = quota.reservations
    assert endpoint.ids == [reservation.request_id]
    assert reservation.left_at is not None
    assert not reservation.reports
    assert not reservation.released
    assert await quota.charged() >= reservation.reserved


async def test_what_can_never_fit_is_not_sent(endpoint: "ScriptedEndpoint", quota: "RecordingQuota") -> None:
    tight = type(quota)(tpm=500)
    async with AzureOpenAIService("gpt-4o", quota=tight, endpoint=endpoint.url, api_key="secret") as service:
        with pytest.raises(TokenLimitExceeded) as caught:
            await service.complete(Verdict, PROMPT)
    assert caught.value.permanent
    assert not endpoint.requests


async def test_plain_text_takes_the_same_way(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.fails(503, headers=SOON)
    endpoint.says("Fine, {thanks}.")
    assert await service.send_prompt("Be kind.", "How is {what}?", {"what": "it {now}"}) == "Fine, {thanks}."
    assert endpoint.ids == quota.ids
    sent: dict[str, Any] = endpoint.requests[1].body
    assert "response_format" not in sent
    assert [message["content"] for message in sent["messages"]] == ["Be kind.", "How is it {now}?"]
