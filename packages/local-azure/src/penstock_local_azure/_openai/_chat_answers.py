"""Writes a chat answer as the API does: whole, or as the chunks of a stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import time
from typing import Any, Final
from uuid import uuid4

from ._completion import Completion
from ._content_filter import prompt_filter_results, results

_PIECE: Final = 16
"""Characters of an answer in one chunk of its stream."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """An answer and what is said about it."""

    model: str
    prompt_tokens: int
    completion: Completion

    def body(self) -> dict[str, Any]:
        """Return the whole answer."""
        completion = self.completion
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if completion.filtered else completion.content,
            "refusal": completion.refusal,
        }
        if completion.calls and not completion.filtered:
            message["tool_calls"] = _calls(completion)
        choice = {**_choice(completion.finish_reason, self._found()), "message": message}
        return {
            **_frame("chat.completion", self.model),
            "choices": [choice],
            "prompt_filter_results": prompt_filter_results(),
            "usage": self._usage(),
        }

    def chunks(self, *, include_usage: bool) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a stream: the prompt's filter results, role, pieces, reason, and usage if asked for."""
        frame = _frame("chat.completion.chunk", self.model) | ({"usage": None} if include_usage else {})
        yield {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [],
            "prompt_filter_results": prompt_filter_results(),
        }
        for delta in _deltas(self.completion):
            yield {**frame, "choices": [{**_choice(None, results()), "delta": delta}]}
        yield {**frame, "choices": [{**_choice(self.completion.finish_reason, self._found()), "delta": {}}]}
        if include_usage:
            yield {**frame, "choices": [], "usage": self._usage()}

    def _found(self) -> dict[str, Any]:
        """Return what the content filter says of the answer."""
        return results(self.completion.filtered)

    def _usage(self) -> dict[str, Any]:
        """Return what the answer costs."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion.tokens,
            "total_tokens": self.prompt_tokens + self.completion.tokens,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
            "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": self.completion.reasoning_tokens},
        }


def _frame(kind: str, model: str) -> dict[str, Any]:
    """Return what an answer, or each chunk of it, says of itself."""
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time()), "model": model}


def _choice(reason: str | None, found: dict[str, Any]) -> dict[str, Any]:
    """Return the frame of a choice; there is only ever one."""
    return {"index": 0, "finish_reason": reason, "logprobs": None, "content_filter_results": found}


def _calls(completion: Completion) -> list[dict[str, Any]]:
    """Return the calls of tools, each with an id of its own."""
    return [
        {
            "id": f"call_{uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in completion.calls
    ]


def _deltas(completion: Completion) -> Iterator[dict[str, Any]]:
    """Yield what each chunk adds to the message."""
    yield {"role": "assistant", "content": None if completion.calls else "", "refusal": None}
    for piece in _pieces(completion.content or ""):
        yield {"content": piece}
    for piece in _pieces(completion.refusal or ""):
        yield {"refusal": piece}
    for index, call in enumerate(_calls(completion)):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]}
        for piece in _pieces(arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces."""
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
