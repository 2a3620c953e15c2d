"""Several deployments: the next one is asked while one answers 429, is out of reach, or filters the content."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from penstock_llm import AzureOpenAIService, ContentFiltered, EndpointUnavailable, InvalidAnswer
from penstock_local_azure import FilteredAnswer, FilteredPrompt, OpenAI, ServerError, Throttled

if TYPE_CHECKING:
    from conftest import RecordingQuota

PROMPT = [{"role": "user", "content": "How was it?"}]


class Verdict(BaseModel):
    score: int


Made = tuple[AzureOpenAIService, "RecordingQuota", "RecordingQuota"]


@pytest.fixture
async def made(standin: OpenAI, quota: "RecordingQuota") -> AsyncIterator[Made]:
    """A service that falls back on another, with the quotas of both."""
    other = type(quota)()
    where: dict[str, Any] = {"endpoint": standin.endpoint, "api_key": standin.api_key}
    async with (
        AzureOpenAIService("gpt-4o-eu", quota=other, **where) as second,
        AzureOpenAIService("gpt-4o", quota=quota, fallbacks=[second], **where) as first,
    ):
        yield first, quota, other


def asked(standin: OpenAI) -> list[str]:
    return [request.deployment for request in standin.requests]


@pytest.mark.parametrize(
    "fault",
    [Throttled(60.0), Throttled(130.0), Throttled(None, "insufficient_quota"), ServerError(500), FilteredPrompt()],
)
async def test_the_next_deployment_is_asked_at_once_under_its_own_quota(
    made: Made, standin: OpenAI, fault: Any
) -> None:
    service, first, second = made
    standin.reply("gpt-4o", fault)
    standin.reply("gpt-4o-eu", Verdict(score=4))

    completion = await service.complete(Verdict, PROMPT, max_retries=0)

    assert completion.value == Verdict(score=4)
    assert completion.retry_wait == 0.0
    assert asked(standin) == ["gpt-4o", "gpt-4o-eu"]
    assert [attempt.deployment for attempt in completion.attempts] == asked(standin)
    assert [request.id for request in standin.requests] == [*first.ids, *second.ids]
    assert (len(first.ids), len(second.ids)) == (1, 1)


async def test_the_engine_that_is_told_is_the_one_that_asked(standin: OpenAI, quota: "RecordingQuota") -> None:
    pytest.importorskip("instructor")
    where: dict[str, Any] = {"endpoint": standin.endpoint, "api_key": standin.api_key, "quota": quota}
    standin.reply("gpt-4o", ServerError(500))
    async with (
        AzureOpenAIService("gpt-4o-eu", engine="instructor", **where) as second,
        AzureOpenAIService("gpt-4o", fallbacks=[second], **where) as first,
    ):
        completion = await first.complete(Verdict, PROMPT)

    assert [attempt.deployment for attempt in completion.attempts] == ["gpt-4o", "gpt-4o-eu"]
    assert completion.engine == "instructor"


async def test_a_filtered_answer_may_pass_elsewhere(made: Made, standin: OpenAI) -> None:
    service, *_ = made
    standin.reply("gpt-4o", FilteredAnswer())
    standin.reply("gpt-4o-eu", Verdict(score=4))

    assert await service.structured_completion(Verdict, PROMPT) == Verdict(score=4)


async def test_a_deployment_out_of_reach_is_passed_over(
    standin: OpenAI, quota: "RecordingQuota", unused_tcp_port: int
) -> None:
    async with (
        AzureOpenAIService("gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key) as second,
        AzureOpenAIService(
            "gpt-4o-eu", quota=quota, endpoint=f"http://127.0.0.1:{unused_tcp_port}", api_key="k", fallbacks=[second]
        ) as first,
    ):
        completion = await first.complete(Verdict, PROMPT)

    assert [attempt.deployment for attempt in completion.attempts] == ["gpt-4o-eu", "gpt-4o"]


async def test_while_it_rests_nobody_asks_it(made: Made, standin: OpenAI) -> None:
    service, *_ = made
    standin.reply("gpt-4o", Throttled(60.0))

    for _ in range(3):
        await service.complete(Verdict, PROMPT, deadline=10.0)  # its pool is paused: who asks it waits a minute

    assert asked(standin) == ["gpt-4o", "gpt-4o-eu", "gpt-4o-eu", "gpt-4o-eu"]


async def test_it_is_preferred_again_after_its_rest(made: Made, standin: OpenAI) -> None:
    service, *_ = made
    standin.reply("gpt-4o", [Throttled(0.001)])

    for _ in range(2):
        await service.complete(Verdict, PROMPT)

    assert asked(standin) == ["gpt-4o", "gpt-4o-eu", "gpt-4o"]


async def test_when_all_fail_they_are_waited_out_and_asked_again(made: Made, standin: OpenAI) -> None:
    service, *_ = made
    standin.reply("gpt-4o", [Throttled(0.02)])
    standin.reply("gpt-4o-eu", [Throttled(0.02)])

    completion = await service.complete(Verdict, PROMPT)

    assert asked(standin)[:2] == ["gpt-4o", "gpt-4o-eu"]
    assert len(standin.requests) == 3
    assert completion.retry_wait >= 0.02


@pytest.mark.parametrize(
    ("fault", "kind"), [(ServerError(500, 0.001), EndpointUnavailable), (FilteredPrompt(), ContentFiltered)]
)
async def test_when_all_fail_for_good_the_error_tells_every_attempt(
    made: Made, standin: OpenAI, fault: Any, kind: type[Exception]
) -> None:
    service, first, second = made
    standin.reply("gpt-4o", fault)
    standin.reply("gpt-4o-eu", fault)

    with pytest.raises(kind) as caught:
        await service.complete(Verdict, PROMPT, max_retries=0)

    assert isinstance(caught.value, EndpointUnavailable | ContentFiltered)
    assert {attempt.request_id for attempt in caught.value.attempts} == {*first.ids, *second.ids}
    assert asked(standin) == ["gpt-4o", "gpt-4o-eu"]


async def test_what_is_no_deployments_fault_is_not_asked_elsewhere(made: Made, standin: OpenAI) -> None:
    service, *_ = made
    standin.reply("gpt-4o", {"score": "high"})

    with pytest.raises(InvalidAnswer):
        await service.complete(Verdict, PROMPT, max_retries=1)

    assert asked(standin) == ["gpt-4o", "gpt-4o"]


async def test_streams_fall_back_before_their_first_piece(made: Made, standin: OpenAI) -> None:
    service, *_ = made
    standin.reply("gpt-4o", Throttled(60.0))
    standin.reply("gpt-4o-eu", "Fine.")

    async with service.stream_prompt("", "How was it?") as stream:
        assert "".join([piece async for piece in stream]) == "Fine."

    assert [attempt.deployment for attempt in stream.attempts] == ["gpt-4o", "gpt-4o-eu"]


async def test_a_service_to_fall_back_on_stays_open(standin: OpenAI, quota: "RecordingQuota") -> None:
    where: dict[str, Any] = {"endpoint": standin.endpoint, "api_key": standin.api_key, "quota": quota}
    async with AzureOpenAIService("gpt-4o-eu", **where) as second:
        async with AzureOpenAIService("gpt-4o", fallbacks=[second], **where):
            pass
        assert await second.send_prompt("", "How was it?")
