"""The public types, as a type checker must see them; never run."""

from typing import assert_type

import httpx2
from pydantic import BaseModel

from penstock_llm import (
    Attempt,
    AzureOpenAIService,
    Completion,
    CompletionError,
    EndpointUnavailable,
    InvalidAnswer,
    NotSent,
    QuotaTransport,
    TextStream,
    Usage,
)
from penstock_token_client import LocalQuota, TokenClient, Unlimited


class Verdict(BaseModel):
    score: int


async def ask(service: AzureOpenAIService) -> None:
    messages = service.format_prompt(
        "Be {how}.", "Hello.", variables={"how": "kind"}, examples=[("Hi.", Verdict(score=1))]
    )
    assert_type(await service.structured_completion(Verdict, messages), Verdict)
    completion = await service.complete(Verdict, messages, max_tokens=100, max_retries=1, deadline=None)
    assert_type(completion, Completion[Verdict])
    assert_type(completion.value, Verdict)
    assert_type(completion.usage, Usage)
    assert_type(completion.attempts, tuple[Attempt, ...])
    assert_type(completion.attempts[0].deployment, str)
    assert_type(await service.send_prompt("", "Hello.", {"how": "kind"}), str)
    assert_type(await service.create_embedding(["Hello."], dimensions=8), list[list[float]])
    assert_type(service.count_tokens(messages), int)
    assert_type(service.estimate_token_count(messages, max_tokens=1, response_model=Verdict), int)
    async with service.stream_prompt("", "Hello.") as stream:
        assert_type(stream, TextStream)
        async for piece in stream:
            assert_type(piece, str)
    assert_type(stream.usage, Usage)


def construct(client: TokenClient) -> None:
    fallback = AzureOpenAIService("b", quota=LocalQuota(tpm=1, rpm=1), engine="instructor")
    AzureOpenAIService("a", "feedback", quota=client, fallbacks=[fallback], embedding_quota=Unlimited())
    AzureOpenAIService("a", engine="tools")  # type: ignore[arg-type]
    httpx2.AsyncClient(transport=QuotaTransport(client, pools={"b": Unlimited()}, deadline=1.0))


def handle(error: CompletionError | NotSent) -> tuple[bool, bool, float | None]:
    if isinstance(error, InvalidAnswer):
        assert_type(error.failures, tuple[tuple[str, str], ...])
    if isinstance(error, EndpointUnavailable):
        assert_type(error.status, int | None)
    return error.permanent, error.environment, error.retry_after
