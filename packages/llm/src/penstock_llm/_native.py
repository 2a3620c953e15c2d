"""The native engine: strict JSON Schema through the SDK's own request method, read by two small models.

``client.post`` is the SDK's public door for requests it does not model. Unlike ``chat.completions.create`` it neither
copies the whole request nor constructs a completion's forty fields, which together cost more than the rest.
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx2
import tiktoken
from openai import AsyncOpenAI, AsyncStream
from pydantic import BaseModel, ValidationError

from penstock_tokenizers import count_schema, count_text

from ._boundary import mapped
from ._engine import Answer, Question
from ._errors import EndpointUnavailable
from ._filter import struck
from ._shape import Shape
from ._usage import read_usage

SCHEMA_MARGIN: Final = 16
"""Tokens for the words that introduce a schema to the model; no rule is published."""
OWN_PARAMETERS: Final = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "response_format",
        "stream",
        "stream_options",
        "tools",
    }
)
"""Parameters of a request that the engine decides."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str
    content_filter_results: dict[str, Any] | None = None


class _Envelope(BaseModel):
    choices: list[_Choice]
    usage: Any = None


class NativeEngine:
    """Asks one deployment.

    Args:
        client: The SDK's client.
        deployment: The deployment's name.
        parameters: Further parameters of every request, such as ``temperature``.
    """

    name = "native"

    def __init__(self, client: AsyncOpenAI, deployment: str, parameters: Mapping[str, Any]) -> None:
        self._client = client
        self._fixed = {"model": deployment, **parameters}

    def shape_tokens(self, shape: Shape[Any], encoding: tiktoken.Encoding) -> int:
        """Count a schema and the words around it."""
        if shape.schema is None:
            return 0
        return count_text(encoding, shape.name) + count_schema(encoding, shape.schema) + SCHEMA_MARGIN

    async def ask(self, question: Question, *, request_id: str) -> Answer:
        """Send one request; see `Engine.ask`."""
        call = self._client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            body=self._body(question),
            options={"max_retries": 0, "headers": {"x-ms-client-request-id": request_id}},
        )
        return _read(await mapped(call))

    async def open(self, question: Question, *, request_id: str) -> AsyncStream[object]:
        """Send one request for a stream of chunks, as plain JSON values.

        Raises:
            CompletionError: The endpoint did not answer with a stream.
        """
        call = self._client.post(
            "/chat/completions",
            cast_to=object,
            body={**self._body(question), "stream": True, "stream_options": {"include_usage": True}},
            options={"max_retries": 0, "headers": {"x-ms-client-request-id": request_id}},
            stream=True,
            stream_cls=AsyncStream[object],
        )
        return await mapped(call)

    def _body(self, question: Question) -> dict[str, Any]:
        """Build the request's body."""
        body = {
            **self._fixed,
            "messages": question.messages,
            "max_completion_tokens": question.max_completion_tokens,
        }
        shape = question.shape
        if shape.schema is not None:
            named = {"name": shape.name, "schema": shape.schema, "strict": shape.strict}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body


def _read(response: httpx2.Response) -> Answer:
    """Read a completion's one choice.

    Raises:
        EndpointUnavailable: The body is no completion.
    """
    envelope = _parsed(response.content)
    if envelope is None or not envelope.choices:
        raise EndpointUnavailable(response.status_code, code="malformed_answer", headers=response.headers)
    choice = envelope.choices[0]
    return Answer(
        text=choice.message.content or "",
        refusal=choice.message.refusal,
        finish_reason=choice.finish_reason,
        usage=read_usage(envelope.usage),
        headers=response.headers,
        filtered=struck(choice.content_filter_results),
    )


def _parsed(content: bytes) -> _Envelope | None:
    """Parse a body; None if it is no completion (the reason would quote it)."""
    try:
        return _Envelope.model_validate_json(content)
    except ValidationError:
        return None
