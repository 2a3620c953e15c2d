"""Text in pieces: under one reservation, settled by what the endpoint says, or by what was read of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from penstock_llm import (
    AnswerRefused,
    AnswerTruncated,
    AzureOpenAIService,
    CompletionError,
    ContentFiltered,
    DeadlineExceeded,
    EndpointUnavailable,
)
from penstock_local_azure import (
    CutAnswer,
    ErrorEvent,
    FilteredAnswer,
    FilteredPrompt,
    OpenAI,
    Refusal,
    ServerError,
    StalledAnswer,
    Throttled,
    TruncatedAnswer,
)
from penstock_tokenizers import count_text, encoding_for

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint

TEXT = "The delivery was late, but the driver was kind and the bicycle rides well."


@pytest.fixture
async def standing(standin: OpenAI, quota: "RecordingQuota") -> AsyncIterator[AzureOpenAIService]:
    """A service that asks the stand-in."""
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key) as made:
        yield made


async def test_the_pieces_are_the_text_and_its_usage_is_reported_at_the_end(
    standing: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", TEXT)

    async with standing.stream_prompt("Be kind.", "How was {what}?", {"what": "it"}, max_tokens=200) as stream:
        pieces = [piece async for piece in stream]

    assert "".join(pieces) == TEXT
    assert len(pieces) > 3
    (seen,), (reservation,) = standin.requests, quota.reservations
    (report,) = reservation.reports
    assert (seen.id, seen.body["max_completion_tokens"]) == (reservation.request_id, 200)
    assert (report["usage"], report["status"]) == ((seen.prompt_tokens, seen.completion_tokens), "ok")
    assert report["headers"]["x-ratelimit-limit-tokens"] == "1000000"
    assert stream.usage.total_tokens == seen.billed
    assert [attempt.outcome for attempt in stream.attempts] == ["ok"]


async def test_a_reader_who_stops_early_pays_for_what_was_read_and_stays_charged(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    pieces = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Fine, ", "thanks", " a lot")]
    endpoint.streams(*pieces, then="hangs")

    async with service.stream_prompt("", "How was it?") as stream:
        async for piece in stream:
            if piece == "thanks":
                break

    (reservation,) = quota.reservations
    (report,) = reservation.reports
    assert report["usage"][1] == count_text(encoding_for("gpt-4o"), "Fine, thanks")
    assert report["status"] == "error"
    assert reservation.left_at is not None
    assert await quota.charged() >= reservation.reserved


async def test_a_reader_who_is_cancelled_leaves_the_whole_estimate_charged(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.streams({"choices": [{"index": 0, "delta": {"content": "Fine"}}]}, then="hangs")
    reading = asyncio.Event()

    async def read() -> None:
        async with service.stream_prompt("", "How was it?") as stream:
            async for _ in stream:
                reading.set()

    reader = asyncio.create_task(read())
    await reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader

    (reservation,) = quota.reservations
    assert not reservation.reports
    assert reservation.left_at is not None
    assert await quota.charged() >= reservation.reserved


async def test_what_fails_before_the_first_piece_is_asked_for_again(
    standing: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", [Throttled(0.001), ServerError(503, 0.001), TEXT])

    async with standing.stream_prompt("", "How was it?") as stream:
        text = "".join([piece async for piece in stream])

    assert text == TEXT
    assert [request.id for request in standin.requests] == quota.ids
    assert quota.statuses == ["429", "error", "ok"]
    assert [attempt.outcome for attempt in stream.attempts] == ["unavailable", "unavailable", "ok"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (FilteredPrompt(), ContentFiltered),
        (Throttled(130.0), EndpointUnavailable),
        (Throttled(None, "insufficient_quota"), EndpointUnavailable),
    ],
)
async def test_what_seconds_will_not_mend_is_raised_where_the_stream_is_opened(
    standing: AzureOpenAIService, standin: OpenAI, reply: Any, kind: type[CompletionError]
) -> None:
    standin.reply("gpt-4o", [reply])

    with pytest.raises(kind) as caught:
        async with standing.stream_prompt("", "How was it?"):
            pytest.fail("there is nothing to read")

    assert len(caught.value.attempts) == len(standin.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "status", "outcome"),
    [
        (TruncatedAnswer(), AnswerTruncated, "truncated", "truncated"),
        (Refusal(), AnswerRefused, "ok", "refused"),
        (FilteredAnswer(), ContentFiltered, "ok", "filtered"),
        (CutAnswer(0.5), EndpointUnavailable, "error", "unavailable"),
        (CutAnswer(0.5, abrupt=False), EndpointUnavailable, "error", "unavailable"),
        (ErrorEvent(0.5), EndpointUnavailable, "error", "unavailable"),
    ],
)
async def test_what_goes_wrong_later_is_raised_where_the_stream_is_read(
    standing: AzureOpenAIService,
    standin: OpenAI,
    quota: "RecordingQuota",
    reply: Any,
    kind: type[CompletionError],
    status: str,
    outcome: str,
) -> None:
    standin.reply("gpt-4o", [ServerError(503, 0.001), reply])

    async with standing.stream_prompt("", "How was it?") as stream:
        with pytest.raises(kind) as caught:
            _ = [piece async for piece in stream]

    assert quota.statuses == ["error", status]
    assert len(standin.requests) == 2
    assert [(each.request_id, each.outcome) for each in stream.attempts] == [
        (quota.ids[0], "unavailable"),
        (quota.ids[1], outcome),
    ]
    assert caught.value.attempts == stream.attempts


async def test_the_deadline_ends_a_stream_that_stalls(
    standing: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota"
) -> None:
    standin.reply("gpt-4o", [StalledAnswer(0.5)])

    async with standing.stream_prompt("", "How was it?", deadline=1.0) as stream:
        with pytest.raises(DeadlineExceeded):
            _ = [piece async for piece in stream]

    assert quota.statuses == ["error"]


async def test_a_stream_is_read_inside_its_block(service: AzureOpenAIService) -> None:
    with pytest.raises(RuntimeError, match="inside its block"):
        _ = [piece async for piece in service.stream_prompt("", "How was it?")]


@pytest.mark.parametrize("options", [{"max_tokens": 0}, {"max_retries": -1}, {"deadline": 0}])
def test_arguments_are_checked_before_anything_is_sent(service: AzureOpenAIService, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        service.stream_prompt("", "How was it?", **options)
