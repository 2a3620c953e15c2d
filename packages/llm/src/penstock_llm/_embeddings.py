"""Embeddings: batches within the service's limits, each an attempt under the quota of the embeddings' deployment."""

import asyncio
import sys
from array import array
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import tiktoken
from openai import AsyncOpenAI
from pydantic import BaseModel, ValidationError

from penstock_token_client import Quota
from penstock_tokenizers import count_off_loop, count_text

from ._boundary import mapped
from ._engine import Answer
from ._errors import CompletionError, EndpointUnavailable
from ._estimate import Estimator
from ._messages import sendable
from ._patience import Patience
from ._usage import Usage

MOST_INPUTS: Final = 2_048
"""Texts in one request (Azure OpenAI, "Embeddings", input)."""
MOST_TOKENS_EACH: Final = 8_192
"""Tokens of one text (the same page; one fewer for the oldest model)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request embeds."""

    texts: Sequence[str] = field(repr=False)
    tokens: int
    dimensions: int | None
    max_completion_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Vectors(Answer):
    """The vectors of one batch."""

    vectors: list[list[float]] = field(repr=False)


class EmbeddingCourse:
    """A `Course` of one batch."""

    def __init__(self, batch: Batch, patience: Patience) -> None:
        self._batch = batch
        self._patience = patience

    def question(self) -> Batch:
        """Return the batch."""
        return self._batch

    def judge(self, answer: Answer) -> list[list[float]]:
        """Return the vectors."""
        return answer.vectors if isinstance(answer, Vectors) else []

    def recover(self, error: CompletionError) -> float:
        """Return the seconds to wait before asking again, or raise the error."""
        self._patience.spend(error)
        return self._patience.wait_out(error)


class EmbeddingLane:
    """A `Lane` of a deployment that embeds.

    Args:
        deployment: Its name.
        quota: Where each attempt's tokens are reserved.
        client: The SDK's client.
        estimator: How texts are counted.
    """

    operation = "embeddings"

    def __init__(self, deployment: str, quota: Quota, client: AsyncOpenAI, estimator: Estimator) -> None:
        self.deployment = deployment
        self.quota = quota
        self.resting_until = 0.0
        self.suggested_max_tokens: int | None = None
        self.closed = False
        self._client = client
        self._estimator = estimator

    async def counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of texts, all in one go: many short ones hold up an event loop as long ones do."""
        encoding = await self._estimator.ready()
        return await count_off_loop(sum(map(len, texts)), _counts, encoding, texts)

    async def prompt_tokens(self, question: Batch) -> int:
        """Return what was counted when the batch was made."""
        return question.tokens

    async def ask(self, question: Batch, *, request_id: str) -> Vectors:
        """Send one request; see `Engine.ask`."""
        body: dict[str, Any] = {"model": self.deployment, "input": question.texts, "encoding_format": "base64"}
        if question.dimensions is not None:
            body["dimensions"] = question.dimensions
        call = self._client.post(
            "/embeddings",
            cast_to=httpx2.Response,
            body=body,
            options={"max_retries": 0, "headers": {"x-ms-client-request-id": request_id}},
        )
        response = await mapped(call)
        vectors = await asyncio.to_thread(_read, response.content, len(question.texts))
        if vectors is None:
            raise EndpointUnavailable(response.status_code, code="malformed_answer", headers=response.headers)
        usage, values = vectors
        return Vectors(text="", finish_reason="stop", usage=usage, headers=response.headers, vectors=values)

    async def learn(self, question: Batch, answer: Answer) -> None:
        """Learn nothing: text is counted exactly."""


def sendable_texts(texts: object) -> list[str]:
    """Return texts that can be sent.

    Raises:
        TypeError: They are no list of strings.
        ValueError: One is empty, which the endpoint refuses.
    """
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Sequence):
        raise TypeError(f"texts must be a list of strings, not {type(texts).__name__}")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{index}] must be a string, not {type(text).__name__}")
        if not text:
            raise ValueError(f"texts[{index}] must not be empty")
    return [sendable(text) for text in texts]


def batches(texts: Sequence[str], counts: Sequence[int], most_tokens: int, dimensions: int | None) -> Iterator[Batch]:
    """Cut texts into batches, in order.

    Raises:
        ValueError: A text is longer than the service takes; the message names it.
    """
    for index, count in enumerate(counts):
        if count > MOST_TOKENS_EACH:
            raise ValueError(
                f"texts[{index}] has {count} tokens, more than the {MOST_TOKENS_EACH} that can be embedded"
            )
    start = tokens = 0
    for index, count in enumerate(counts):
        if index - start == MOST_INPUTS or (index > start and tokens + count > most_tokens):
            yield Batch(texts[start:index], tokens, dimensions)
            start, tokens = index, 0
        tokens += count
    if start < len(texts):
        yield Batch(texts[start:], tokens, dimensions)


def _counts(encoding: tiktoken.Encoding, texts: Sequence[str]) -> list[int]:
    """Count the tokens of each text."""
    return [count_text(encoding, text) for text in texts]


class _Embedding(BaseModel):
    index: int
    embedding: str | list[float]


class _Envelope(BaseModel):
    data: list[_Embedding]
    usage: Usage | None = None


def _read(content: bytes, expected: int) -> tuple[Usage | None, list[list[float]]] | None:
    """Read usage and vectors in their order; None if the body is no answer to so many texts."""
    try:
        envelope = _Envelope.model_validate_json(content)
        ordered = sorted(envelope.data, key=lambda each: each.index)
        vectors = [_vector(each.embedding) for each in ordered]
    except (ValidationError, Base64Error, ValueError):
        return None
    return (envelope.usage, vectors) if [each.index for each in ordered] == list(range(expected)) else None


def _vector(embedding: str | list[float]) -> list[float]:
    """Decode a vector: the base64 of little-endian floats, or a list already."""
    if isinstance(embedding, list):
        return embedding
    values = array("f", b64decode(embedding, validate=True))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
