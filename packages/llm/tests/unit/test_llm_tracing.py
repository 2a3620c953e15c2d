"""Spans by the conventions for generative AI: one a request, one a wait for quota, and no content in any."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from penstock_llm import AzureOpenAIService, CompletionError, _tracing
from penstock_local_azure import FilteredPrompt, InvalidAnswer, OpenAI, Refusal, ServerError, TruncatedAnswer

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint

CANARY = "xq7canaryzz"
PROMPT = [{"role": "user", "content": CANARY}]


class Verdict(BaseModel):
    score: int


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(_tracing, "_tracer", provider.get_tracer("penstock_llm"))
    yield exporter
    provider.shutdown()


@pytest.fixture
async def standing(standin: OpenAI, quota: "RecordingQuota") -> AsyncIterator[AzureOpenAIService]:
    async with AzureOpenAIService(
        "gpt-4o",
        quota=quota,
        endpoint=standin.endpoint,
        api_key=standin.api_key,
        embedding_model="text-embedding-3-small",
        embedding_quota=quota,
    ) as made:
        yield made


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_request_is_a_span_and_so_is_the_wait_before_it(
    standing: AzureOpenAIService, standin: OpenAI, spans: InMemorySpanExporter
) -> None:
    await standing.complete(Verdict, PROMPT, max_tokens=200)

    waiting, request = spans.get_finished_spans()
    (seen,) = standin.requests
    assert (waiting.name, request.name) == ("quota gpt-4o", "chat gpt-4o")
    assert told(waiting)["penstock.quota.tokens"] >= seen.prompt_tokens + 200
    assert told(request) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 200,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": seen.prompt_tokens,
        "gen_ai.usage.output_tokens": seen.completion_tokens,
    }
    assert waiting.end_time is not None
    assert request.start_time is not None
    assert waiting.end_time <= request.start_time


async def test_streams_and_embeddings_have_spans_too(standing: AzureOpenAIService, spans: InMemorySpanExporter) -> None:
    async with standing.stream_prompt("", "How was it?") as stream:
        _ = [piece async for piece in stream]
    await standing.create_embedding(["late"])

    names = [span.name for span in spans.get_finished_spans()]
    assert names == [
        "quota gpt-4o",
        "chat gpt-4o",
        "quota text-embedding-3-small",
        "embeddings text-embedding-3-small",
    ]
    assert told(spans.get_finished_spans()[1])["gen_ai.usage.output_tokens"] == stream.usage.completion_tokens


@pytest.mark.parametrize(
    "replies",
    [
        [Verdict(score=1)],
        [InvalidAnswer()] * 2,
        [{"score": CANARY}] * 2,
        [Refusal(CANARY)],
        [TruncatedAnswer()] * 2,
        [FilteredPrompt()],
        [ServerError(500, 0.001)] * 2,
    ],
)
async def test_no_span_tells_content_and_failures_tell_their_kind(
    standing: AzureOpenAIService, standin: OpenAI, spans: InMemorySpanExporter, replies: list[Any]
) -> None:
    standin.reply("gpt-4o", replies)
    error: CompletionError | None = None
    try:
        await standing.complete(Verdict, PROMPT, max_retries=1)
    except CompletionError as raised:
        error = raised

    finished = spans.get_finished_spans()
    assert len(finished) == 2 * len(standin.requests)
    assert CANARY not in "".join(span.to_json() for span in finished)
    if error is not None and error.status is not None and error.status >= 400:
        assert told(finished[-1])["error.type"] == str(error.status)
        assert not finished[-1].status.is_ok


async def test_a_cancelled_request_tells_so(
    endpoint: "ScriptedEndpoint", service: AzureOpenAIService, spans: InMemorySpanExporter
) -> None:
    endpoint.hangs()
    call = asyncio.create_task(service.complete(Verdict, PROMPT))
    await endpoint.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert told(spans.get_finished_spans()[-1])["error.type"] == "CancelledError"


def test_without_opentelemetry_everything_goes_on() -> None:
    script = """
import sys
sys.modules["opentelemetry"] = None  # as if it were not installed
from penstock_llm._tracing import request_span
with request_span("chat", "gpt-4o", 1) as span:
    span.tell({"a": 1})
    span.fail("b")
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
