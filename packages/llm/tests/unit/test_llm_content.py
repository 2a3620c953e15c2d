"""A canary in prompt, answer and the endpoint's own words is found in no log, error text, repr or traceback."""

import asyncio
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from penstock_llm import AzureOpenAIService, CompletionError, NotSent, QuotaTransport

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint
    from openai.types.chat import ChatCompletionMessageParam

CANARY = "xq7canaryzz"


class Verdict(BaseModel):
    score: int
    counts: dict[str, int] = {}


GOOD = f'{{"score": 1, "counts": {{"{CANARY}": 1}}}}'
SOON = {"retry-after-ms": "1"}


def filtered(endpoint: "ScriptedEndpoint") -> None:
    endpoint.fails(400, code="content_filter", message=CANARY)


def rejected(endpoint: "ScriptedEndpoint") -> None:
    endpoint.fails(400, code="invalid_request", message=f"cannot read {CANARY}")


def refused(endpoint: "ScriptedEndpoint") -> None:
    endpoint.says(None, refusal=CANARY)


def invalid(endpoint: "ScriptedEndpoint") -> None:
    for _ in range(3):
        endpoint.says(f'{{"score": "{CANARY}", "counts": {{"{CANARY}": "{CANARY}"}}}}')


def no_json(endpoint: "ScriptedEndpoint") -> None:
    for _ in range(3):
        endpoint.says(CANARY)


def malformed(endpoint: "ScriptedEndpoint") -> None:
    for _ in range(3):
        endpoint.sends(200, CANARY, headers=SOON)


def truncated(endpoint: "ScriptedEndpoint") -> None:
    endpoint.says(CANARY, finish_reason="length")


def broken(endpoint: "ScriptedEndpoint") -> None:
    for _ in range(3):
        endpoint.fails(500, message=CANARY, headers=SOON)


def cut(endpoint: "ScriptedEndpoint") -> None:
    for _ in range(3):
        endpoint.cuts()


def everything_said_about(error: BaseException) -> str:
    """Text, repr and traceback, with local causes and contexts, of an error and all that hangs on it."""
    parts: list[str] = []
    chain: list[BaseException | None] = [error]
    while chain:
        if (link := chain.pop()) is not None:
            parts += [str(link), repr(link), *traceback.format_exception(link)]
            chain += [link.__cause__, link.__context__]
    return "\n".join(parts)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Everything any logger said, but for what the oldest SDKs print of their requests at DEBUG."""
    return "\n".join(
        f"{record.getMessage()} {record.exc_text}"
        for record in caplog.records
        if not (record.name.startswith("openai.") and "Request options" in record.msg)
    )


def assert_it_stays_inside(
    endpoint: "ScriptedEndpoint", caught: pytest.ExceptionInfo[CompletionError], caplog: pytest.LogCaptureFixture
) -> None:
    assert CANARY in str(endpoint.requests[0].body), "the canary was sent"
    assert CANARY not in everything_said_about(caught.value)
    assert CANARY not in logged(caplog)


CRASHING = """
import asyncio, logging, os
from pydantic import BaseModel
from penstock_llm import AzureOpenAIService
from penstock_token_client import Unlimited

class Verdict(BaseModel):
    score: int

async def main():
    async with AzureOpenAIService("gpt-4o", quota=Unlimited(), endpoint=os.environ["WHERE"], api_key="k") as service:
        await service.complete(Verdict, [{"role": "user", "content": os.environ["CANARY"]}], max_retries=1)

logging.basicConfig(level=logging.INFO)
asyncio.run(main())
"""


@pytest.mark.parametrize("fault", [filtered, refused, invalid, truncated, broken, cut])
async def test_a_process_that_crashes_of_it_tells_no_content(
    endpoint: "ScriptedEndpoint", fault: Callable[["ScriptedEndpoint"], None]
) -> None:
    fault(endpoint)
    environment = {**os.environ, "WHERE": endpoint.url, "CANARY": CANARY}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CRASHING, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" in said
    assert CANARY in str(endpoint.requests[0].body), "the canary was sent"
    assert CANARY.encode() not in said


@pytest.mark.parametrize("fault", [filtered, rejected, refused, invalid, no_json, malformed, truncated, broken, cut])
async def test_no_failure_tells_content(
    service: AzureOpenAIService,
    endpoint: "ScriptedEndpoint",
    quota: "RecordingQuota",
    caplog: pytest.LogCaptureFixture,
    fault: Callable[["ScriptedEndpoint"], None],
) -> None:
    fault(endpoint)
    with caplog.at_level(logging.DEBUG), pytest.raises(CompletionError) as caught:
        await service.complete(Verdict, [{"role": "user", "content": CANARY}], max_retries=2)
    assert_it_stays_inside(endpoint, caught, caplog)
    assert CANARY not in str(await quota.get_status()), "from which a counter makes its metrics"


async def test_success_tells_no_content_either(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.says(CANARY)
    endpoint.says(GOOD)
    with caplog.at_level(logging.DEBUG):
        completion = await service.complete(Verdict, [{"role": "user", "content": CANARY}])
    assert CANARY in completion.value.counts
    assert CANARY not in repr(completion)
    assert CANARY not in logged(caplog)


@pytest.mark.parametrize("fault", [filtered, rejected, refused, truncated, broken, cut])
async def test_no_failure_of_a_stream_tells_content(
    service: AzureOpenAIService,
    endpoint: "ScriptedEndpoint",
    caplog: pytest.LogCaptureFixture,
    fault: Callable[["ScriptedEndpoint"], None],
) -> None:
    if fault in (refused, truncated):
        end = {"delta": {"refusal": CANARY} if fault is refused else {"content": CANARY}, "finish_reason": "length"}
        endpoint.streams({"choices": [end]}, "data: [DONE]\n\n")
    else:
        fault(endpoint)

    async def read() -> None:
        async with service.stream_prompt("", CANARY, max_retries=2) as stream:
            _ = [piece async for piece in stream]

    with caplog.at_level(logging.DEBUG), pytest.raises(CompletionError) as caught:
        await read()
    assert_it_stays_inside(endpoint, caught, caplog)


async def test_an_error_within_a_stream_tells_no_content(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.streams({"choices": [{"delta": {"content": CANARY}}]}, {"error": {"code": "oops", "message": CANARY}})
    with caplog.at_level(logging.DEBUG):
        async with service.stream_prompt("", CANARY) as stream:
            with pytest.raises(CompletionError, match="oops") as caught:
                _ = [piece async for piece in stream]
    assert_it_stays_inside(endpoint, caught, caplog)


@pytest.mark.parametrize("fault", [filtered, rejected, malformed, broken, cut])
async def test_embeddings_tell_no_content(
    endpoint: "ScriptedEndpoint",
    quota: "RecordingQuota",
    caplog: pytest.LogCaptureFixture,
    fault: Callable[["ScriptedEndpoint"], None],
) -> None:
    fault(endpoint)
    model = "text-embedding-3-small"
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k", embedding_model=model, embedding_quota=quota
    ) as service:
        with caplog.at_level(logging.DEBUG), pytest.raises(CompletionError) as caught:
            await service.create_embedding([CANARY], max_retries=2)
    assert_it_stays_inside(endpoint, caught, caplog)


@pytest.mark.parametrize("fault", [refused, invalid, rejected, broken, cut])
async def test_the_transport_says_nothing_of_what_passes_through_it(
    endpoint: "ScriptedEndpoint",
    quota: "RecordingQuota",
    caplog: pytest.LogCaptureFixture,
    fault: Callable[["ScriptedEndpoint"], None],
) -> None:
    fault(endpoint)
    http_client = httpx2.AsyncClient(transport=QuotaTransport(quota))
    async with AsyncOpenAI(
        api_key="k", base_url=f"{endpoint.url}/openai/v1", http_client=http_client, max_retries=0
    ) as client:
        with caplog.at_level(logging.DEBUG), contextlib.suppress(openai.APIError):
            await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": CANARY}])
    assert CANARY in str(endpoint.requests[0].body), "the canary was sent"
    ours = [record for record in caplog.records if record.name.startswith("penstock")]
    assert CANARY not in "".join(map(str, [record.getMessage() for record in ours]))
    assert CANARY not in str(await quota.get_status())


async def test_what_the_transport_does_not_send_it_does_not_quote_either(quota: "RecordingQuota") -> None:
    image: ChatCompletionMessageParam = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": CANARY}}],
    }
    http_client = httpx2.AsyncClient(transport=QuotaTransport(quota))
    async with AsyncOpenAI(
        api_key="k", base_url="http://127.0.0.1:9", http_client=http_client, max_retries=0
    ) as client:
        with pytest.raises(NotSent) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[image])
    assert not quota.reservations
    assert CANARY not in everything_said_about(caught.value)
