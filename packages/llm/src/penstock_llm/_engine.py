"""The seam between the attempt loop and the ways of asking a model: one question, one request, one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import tiktoken

from ._messages import Message
from ._shape import Shape
from ._usage import Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What one attempt asks."""

    messages: Sequence[Message] = field(repr=False)
    shape: Shape[Any]
    max_completion_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back, not yet validated."""

    text: str = field(repr=False)
    refusal: str | None = field(default=None, repr=False)
    finish_reason: str
    usage: Usage | None
    headers: Mapping[str, str]
    status: int = 200
    filtered: tuple[str, ...] = ()
    """Categories of the content filter that struck."""


class Engine(Protocol):
    """A way of asking for an answer of a shape; it makes exactly one request and never retries."""

    @property
    def name(self) -> str:
        """What `Completion.engine` says."""

    def shape_tokens(self, shape: Shape[Any], encoding: tiktoken.Encoding) -> int:
        """Count what asking for a shape adds to the messages; rather too much than too little."""

    async def ask(self, question: Question, *, request_id: str) -> Answer:
        """Send one request.

        Args:
            question: What to ask.
            request_id: Travels in the header ``x-ms-client-request-id``.

        Raises:
            CompletionError: The endpoint did not answer with a completion.
        """
