"""Token counts of chat prompts.

Where OpenAI published a rule it is followed; where there is none, a count that errs upwards is taken, because
a reservation that is too small overruns the quota and one that is too large only waits a little longer.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import tiktoken

from ._texts import compact, count_text
from ._tools import count_tools

TOKENS_PER_MESSAGE: Final = 3
TOKENS_PER_NAME: Final = 1
TOKENS_PER_CALL: Final = 3
TOKENS_OF_PRIMING: Final = 3
TOKENS_SHARED_WITH_SYSTEM: Final = 4

_TEXT_PARTS: Final = ("text", "refusal")


def count_messages(encoding: tiktoken.Encoding, messages: Iterable[Mapping[str, Any]]) -> int:
    """Count a chat prompt by the rule of OpenAI's cookbook ("How to count tokens with tiktoken").

    Three tokens for each message, every value's text, one more for a name, and three that prime the answer.
    A call of a function counts its name, its arguments and three more, and any other value as compact JSON.

    Raises:
        ValueError: a content part is neither text nor refusal; for images, audio and files no rule is published.
    """
    return TOKENS_OF_PRIMING + sum(_count_message(encoding, message) for message in messages)


def count_prompt(
    encoding: tiktoken.Encoding,
    messages: Iterable[Mapping[str, Any]],
    tools: Iterable[Mapping[str, Any]] = (),
    tool_choice: str | Mapping[str, Any] | None = None,
) -> int:
    """Count messages and tools together, which with a system message are four less than their sum."""
    listed = list(messages)
    of_tools = count_tools(encoding, tools, tool_choice)
    shared = TOKENS_SHARED_WITH_SYSTEM if of_tools and any(each.get("role") == "system" for each in listed) else 0
    return count_messages(encoding, listed) + of_tools - shared


def _count_message(encoding: tiktoken.Encoding, message: Mapping[str, Any]) -> int:
    """Count one message without the priming."""
    values = sum(_count_value(encoding, value) for value in message.values() if value is not None)
    return TOKENS_PER_MESSAGE + values + (TOKENS_PER_NAME if message.get("name") else 0)


def _count_value(encoding: tiktoken.Encoding, value: object) -> int:
    """Count one value of a message."""
    if isinstance(value, str):
        return count_text(encoding, value)
    if isinstance(value, list) and all(isinstance(part, Mapping) and "type" in part for part in value):
        return sum(_count_part(encoding, part) for part in value)
    return count_text(encoding, compact(value))


def _count_part(encoding: tiktoken.Encoding, part: Mapping[str, Any]) -> int:
    """Count one content part, or one call of a tool."""
    kind, function = part["type"], part.get("function")
    if kind in _TEXT_PARTS:
        return count_text(encoding, str(part.get(kind, "")))
    if kind == "function" and isinstance(function, Mapping):
        return TOKENS_PER_CALL + sum(count_text(encoding, str(function.get(key, ""))) for key in ("name", "arguments"))
    if kind == "custom":
        return count_text(encoding, compact(part))
    raise ValueError(f"messages: a content part of type {kind!r} cannot be counted")
