"""Reads the body of a chat completion: what is asked, how much may be answered, and in which shape.

A parameter is understood, known not to matter here, refused as something this stand-in does not do, or unknown and
refused as Azure does.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ._api_error import bad_request, not_implemented
from ._schema import read_schema
from ._shapes import Plan

_ROLES: Final = ("assistant", "developer", "system", "user")
_SCHEMA_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNDERSTOOD: Final = frozenset({"max_completion_tokens", "max_tokens", "messages", "model", "response_format"})
_WITHOUT_EFFECT: Final = frozenset(
    [
        "frequency_penalty",
        "logit_bias",
        "metadata",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "stream_options",
        "temperature",
        "top_p",
        "user",
        "verbosity",
    ]
)
_NOT_IMPLEMENTED: Final[Mapping[str, tuple[object, ...]]] = {
    "audio": (None,),
    "data_sources": (None,),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "n": (None, 1),
    "prediction": (None,),
    "stop": (None, []),
    "stream": (None, False),
    "tool_choice": (None, "none"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
    "web_search_options": (None,),
}
"""Parameters that would change the answer, and the values with which they would not."""


@dataclass(frozen=True, slots=True)
class Format:
    """The JSON Schema an answer must fit: as it was sent, as compact text, and as a plan to draw from."""

    schema: Mapping[str, Any]
    compact: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion that can be answered."""

    messages: list[dict[str, str]]
    max_tokens: int | None
    format: Format | None

    @property
    def prompt(self) -> str:
        """Return the texts of all messages."""
        return "\n".join(message["content"] for message in self.messages)

    @property
    def characters(self) -> int:
        """Count the characters that the model has to read."""
        return sum(len(message["content"]) for message in self.messages) + (
            len(self.format.compact) if self.format else 0
        )


def read_body(raw: bytes) -> dict[str, Any]:
    """Parse a request's body.

    Raises:
        ApiError: it is no JSON object.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        # The body is content, and the parser's error holds all of it.
        raise bad_request("The body of the request is not valid JSON.") from None
    if not isinstance(body, dict):
        raise bad_request("The body of the request must be a JSON object.")
    return body


def _refuse_constant(name: str) -> NoReturn:
    """Refuse what Python takes for a number and JSON does not."""
    raise ValueError(name)


def read_chat_request(body: Mapping[str, Any], max_output_tokens: int) -> ChatRequest:
    """Read a chat completion's parameters.

    Raises:
        ApiError: a parameter is wrong (400) or asks for what the stand-in does not do (501).
    """
    for name, value in body.items():
        _check_parameter(name, value)
    return ChatRequest(
        _messages(body.get("messages")), _max_tokens(body, max_output_tokens), _format(body.get("response_format"))
    )


def _check_parameter(name: str, value: object) -> None:
    """Refuse a parameter that would go unheeded."""
    if name in _UNDERSTOOD or name in _WITHOUT_EFFECT:
        return
    if name not in _NOT_IMPLEMENTED:
        raise bad_request(f"Unrecognized request argument supplied: {name}", param=name)
    if value not in _NOT_IMPLEMENTED[name]:
        raise not_implemented(f"{name!r} in chat completions", param=name)


def _max_tokens(body: Mapping[str, Any], most: int) -> int | None:
    """Read the bound of the answer, under its new name or its old one."""
    given = {name: body[name] for name in ("max_completion_tokens", "max_tokens") if body.get(name) is not None}
    if len(given) > 1:
        raise bad_request("'max_tokens' and 'max_completion_tokens' must not both be set.", param="max_tokens")
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise bad_request(f"{name!r} must be a whole number from 1 to {most}.", param=name)
        return value
    return None


def _messages(messages: object) -> list[dict[str, str]]:
    """Read the messages, their texts joined."""
    if not isinstance(messages, list) or not messages:
        raise bad_request("'messages' must be a list with at least one message.", param="messages")
    return [_message(message, f"messages.[{index}]") for index, message in enumerate(messages)]


def _message(message: object, param: str) -> dict[str, str]:
    """Read one message."""
    if not isinstance(message, dict):
        raise bad_request(f"{param!r} must be an object.", param=param)
    role, name = message.get("role"), message.get("name")
    if role in ("function", "tool") or message.get("tool_calls"):
        raise not_implemented("tools in chat completions", param=param)
    if role not in _ROLES:
        raise bad_request(f"'role' of {param!r} must be one of {', '.join(_ROLES)}.", param=f"{param}.role")
    if name is not None and not isinstance(name, str):
        raise bad_request(f"'name' of {param!r} must be a string.", param=f"{param}.name")
    read = {"role": role, "content": _content(message.get("content"), role, f"{param}.content")}
    return {**read, "name": name} if name else read


def _content(content: object, role: str, param: str) -> str:
    """Read a message's text, given whole or in parts."""
    if isinstance(content, str):
        return content
    if content is None and role == "assistant":
        return ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise bad_request(f"{param!r} must be a string or a list of content parts.", param=param)
    return "".join(_part(part, param) for part in content)


def _part(part: Mapping[str, Any], param: str) -> str:
    """Read one content part."""
    if part.get("type") != "text":
        raise not_implemented("content parts other than text", param=param)
    if not isinstance(part.get("text"), str):
        raise bad_request(f"'text' in {param!r} must be a string.", param=param)
    return str(part["text"])


def _format(response_format: object) -> Format | None:
    """Read the shape asked for; None: plain text."""
    if response_format is None:
        return None
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "json_object":
        raise not_implemented("'response_format' of type 'json_object'", param="response_format")
    if not isinstance(response_format, dict) or kind not in ("text", "json_schema"):
        raise bad_request(
            "'response_format' must be an object of type 'text' or 'json_schema'.", param="response_format"
        )
    return None if kind == "text" else _json_schema(response_format.get("json_schema"))


def _json_schema(named: object) -> Format:
    """Read a named schema."""
    if not isinstance(named, dict) or not isinstance(schema := named.get("schema"), dict):
        raise bad_request("'json_schema' must hold a 'schema', which is an object.", param="response_format")
    if not _SCHEMA_NAME.fullmatch(str(named.get("name", ""))):
        raise bad_request(
            "'name' of 'json_schema' must be 1 to 64 letters, digits, underscores or dashes.", param="response_format"
        )
    compact = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return Format(schema, compact, read_schema(compact, strict=named.get("strict") is True))
