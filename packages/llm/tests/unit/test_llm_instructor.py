"""The instructor engine: one request an attempt, judged and paid for as the native engine's, and silent."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field

from penstock_llm import (
    AnswerRefused,
    AnswerTruncated,
    AzureOpenAIService,
    CompletionError,
    ContentFiltered,
    EndpointUnavailable,
    InvalidAnswer,
    RequestRejected,
)
from penstock_local_azure import (
    CutAnswer,
    FilteredAnswer,
    FilteredPrompt,
    GatewayPage,
    OpenAI,
    Refusal,
    ServerError,
    Throttled,
    TruncatedAnswer,
)
from penstock_local_azure import InvalidAnswer as Invalid

if TYPE_CHECKING:
    from conftest import RecordingQuota

pytest.importorskip("instructor")  # an extra; the session `sdks` also tests without it

CANARY = "xq7canaryzz"
PROMPT = [{"role": "user", "content": f"How was {{{{it}}}}, {CANARY}?"}]
MODES = ["instructor", "instructor-json-schema"]


class Reason(BaseModel):
    """Why it was so."""

    text: str


class Verdict(BaseModel):
    score: int = Field(ge=1, description="how good it was")
    reasons: list[Reason]
    best: Reason | None = None


GOOD = Verdict(score=4, reasons=[Reason(text="fast")])
BAD = {"score": CANARY, "reasons": []}


@pytest.fixture(params=MODES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def service(standin: OpenAI, quota: "RecordingQuota", engine: Any) -> AsyncIterator[AzureOpenAIService]:
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key, engine=engine
    ) as made:
        yield made


async def test_a_typed_answer_takes_one_request_under_one_reservation(
    service: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota", engine: str
) -> None:
    standin.reply("gpt-4o", GOOD)

    completion = await service.complete(Verdict, PROMPT, max_tokens=300)

    assert (completion.value, completion.engine) == (GOOD, engine)
    (seen,), (reservation,) = standin.requests, quota.reservations
    (report,) = reservation.reports
    assert seen.id == reservation.request_id
    assert seen.body["max_completion_tokens"] == reservation.max_tokens == 300
    assert report["usage"] == (seen.prompt_tokens, seen.completion_tokens)
    assert report["headers"]["x-ratelimit-limit-tokens"] == "1000000"
    assert {"tools", "response_format"} & seen.body.keys() == (
        {"tools"} if engine == "instructor" else {"response_format"}
    )


async def test_braces_in_a_prompt_stay_text(service: AzureOpenAIService, standin: OpenAI) -> None:
    await service.complete(Verdict, PROMPT)

    assert standin.requests[0].body["messages"][0]["content"] == PROMPT[0]["content"]


async def test_the_estimate_is_not_under_what_is_billed(
    service: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota"
) -> None:
    for number in range(3):
        await service.complete(Verdict, [{"role": "user", "content": f"Number {number}. " * number or "hi"}])

    billed = [request.prompt_tokens for request in standin.requests]
    estimated = [reservation.reserved - reservation.max_tokens for reservation in quota.reservations]
    assert all(ours >= theirs for ours, theirs in zip(estimated, billed, strict=True))


async def test_an_invalid_answer_is_one_attempt_and_its_correction_another(
    service: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", [BAD, GOOD])

    completion = await service.complete(Verdict, PROMPT)

    assert completion.value == GOOD
    assert [attempt.outcome for attempt in completion.attempts] == ["invalid", "ok"]
    assert [request.id for request in standin.requests] == quota.ids
    assert completion.usage.total_tokens == sum(request.billed for request in standin.requests)
    assert "score" in standin.requests[1].body["messages"][-1]["content"]


FAULTS = [
    ([BAD] * 3, InvalidAnswer, "invalid"),
    ([Invalid("json")] * 3, InvalidAnswer, "invalid"),
    ([TruncatedAnswer()] * 3, AnswerTruncated, "truncated"),
    ([Refusal(CANARY)], AnswerRefused, "refused"),
    ([FilteredAnswer()], ContentFiltered, "filtered"),
    ([FilteredPrompt()], ContentFiltered, "filtered"),
    ([Throttled(0.001)] * 3, EndpointUnavailable, "unavailable"),
    ([Throttled(None, "insufficient_quota")], EndpointUnavailable, "unavailable"),
    ([ServerError(500, 0.001)] * 3, EndpointUnavailable, "unavailable"),
    ([GatewayPage(200)] * 3, EndpointUnavailable, "unavailable"),
    ([CutAnswer(0.5)] * 3, EndpointUnavailable, "unavailable"),
]


@pytest.mark.parametrize(("replies", "kind", "outcome"), FAULTS)
async def test_what_goes_wrong_is_told_as_by_the_native_engine_and_in_nobodys_log(
    service: AzureOpenAIService,
    standin: OpenAI,
    quota: "RecordingQuota",
    caplog: pytest.LogCaptureFixture,
    replies: list[Any],
    kind: type[CompletionError],
    outcome: str,
) -> None:
    standin.reply("gpt-4o", replies)

    with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught:
        await service.complete(Verdict, PROMPT, max_retries=2)

    assert [request.id for request in standin.requests] == quota.ids
    assert {attempt.outcome for attempt in caught.value.attempts} == {outcome}
    assert not any(reservation.released for reservation in quota.reservations), "all of it was sent"
    assert caught.value.__context__ is None or CANARY not in repr(caught.value.__context__)
    ours = [record for record in caplog.records if not record.name.startswith(("openai.", "penstock_local_azure"))]
    assert not [record.name for record in ours if CANARY in record.getMessage()]


async def test_instructors_own_users_still_read_its_log(
    service: AzureOpenAIService, caplog: pytest.LogCaptureFixture
) -> None:
    await service.complete(Verdict, PROMPT)
    with caplog.at_level(logging.DEBUG, "instructor"):
        logging.getLogger("instructor.v2.retry").error("theirs")

    assert "theirs" in caplog.messages


async def test_a_request_that_is_wrong_is_rejected(standin: OpenAI, quota: "RecordingQuota", engine: Any) -> None:
    async with AzureOpenAIService(
        "gpt-4o",
        quota=quota,
        endpoint=standin.endpoint,
        api_key=standin.api_key,
        engine=engine,
        parameters={"temprature": 0},
    ) as service:
        with pytest.raises(RequestRejected, match="param=temprature"):
            await service.complete(Verdict, PROMPT)


async def test_plain_text_needs_no_instructor(service: AzureOpenAIService, standin: OpenAI) -> None:
    standin.reply("gpt-4o", "Fine.")

    assert await service.send_prompt("", "How was it?") == "Fine."
    assert not {"tools", "response_format"} & standin.requests[0].body.keys()


def test_an_engine_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="engine must be one of native, instructor, instructor-json-schema"):
        AzureOpenAIService("gpt-4o", endpoint="http://127.0.0.1:9", api_key="k", engine="tools")  # type: ignore[arg-type]


def test_nobody_who_does_not_ask_for_instructor_imports_it() -> None:
    script = "import sys, penstock_llm; sys.exit('instructor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_without_instructor_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "instructor", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"engine 'instructor' needs an extra: .*penstock-llm\[instructor\]"):
        AzureOpenAIService("gpt-4o", endpoint="http://127.0.0.1:9", api_key="k", engine="instructor")
