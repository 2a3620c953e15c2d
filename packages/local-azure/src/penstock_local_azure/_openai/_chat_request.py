"""Reads the body of a chat completion: what is asked, how much may be answered, and in which shape.

A parameter is understood, known not to matter here, refused as something this stand-in does not do, or unknown and
refused as Azure does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ._api_error import ApiError, bad_request
from ._bodies import check_parameters, read_flag
from ._deployment import Deployment
from ._formats import Format, check_json_is_mentioned, read_format
from ._messages import Message, message_text, read_messages
from ._tools import Tools, read_tools

_ACCEPTED: Final = frozenset(
    [
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
        "user",
        "verbosity",
    ]
)
"""Parameters that are understood, and those that change nothing here."""
_NOT_IMPLEMENTED_UNLESS: Final[Mapping[str, tuple[object, ...]]] = {
    "audio": (None,),
    "data_sources": (None,),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "n": (None, 1),
    "prediction": (None,),
    "stop": (None, []),
    "top_logprobs": (None, 0),
    "web_search_options": (None,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A chat completion that can be answered."""

    messages: list[Message]
    max_tokens: int | None
    format: Format | None
    tools: Tools
    stream: bool
    include_usage: bool
    """Whether a stream ends with what it cost."""
    reasons: bool
    """Whether the model thinks before it answers."""

    @property
    def prompt(self) -> str:
        """Return the texts of all messages."""
        return "\n".join(map(message_text, self.messages))

    @property
    def characters(self) -> int:
        """Count the characters that the model has to read."""
        texts = sum(len(message_text(message)) for message in self.messages)
        return texts + len(self.tools.compact) + (len(self.format.compact) if self.format else 0)

    @property
    def calls(self) -> bool:
        """Tell whether the answer calls tools: it must, or it may and none has been called yet."""
        return self.tools.must or (bool(self.tools.callable) and self.messages[-1]["role"] != "tool")


def read_chat_request(body: Mapping[str, Any], deployment: Deployment) -> ChatRequest:
    """Read a chat completion's parameters.

    Raises:
        ApiError: a parameter is wrong (400) or asks for what the stand-in does not do (501).
    """
    check_parameters(body, "chat completions", accepted=_ACCEPTED, not_implemented_unless=_NOT_IMPLEMENTED_UNLESS)
    stream = bool(read_flag(body, "stream"))
    request = ChatRequest(
        messages=read_messages(body.get("messages")),
        max_tokens=_max_tokens(body, deployment),
        format=read_format(body.get("response_format")),
        tools=read_tools(body),
        stream=stream,
        include_usage=_include_usage(body.get("stream_options"), stream=stream),
        reasons=deployment.reasoning and body.get("reasoning_effort") not in ("none", "minimal"),
    )
    check_json_is_mentioned(request.format, request.prompt)
    return request


def _max_tokens(body: Mapping[str, Any], deployment: Deployment) -> int | None:
    """Read the bound of the answer, under its new name or its old one."""
    given = {name: body[name] for name in ("max_completion_tokens", "max_tokens") if body.get(name) is not None}
    if deployment.reasoning and "max_tokens" in given:
        raise _unsupported("max_tokens", "Use 'max_completion_tokens' instead.")
    if len(given) > 1:
        raise bad_request("'max_tokens' and 'max_completion_tokens' must not both be set.", param="max_tokens")
    most = deployment.max_output_tokens
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise bad_request(f"{name!r} must be a whole number from 1 to {most}.", param=name)
        return value
    return None


def _unsupported(name: str, instead: str) -> ApiError:
    """Return the answer to a parameter that a model does not take."""
    message = f"Unsupported parameter: {name!r} is not supported with this model. {instead}"
    return bad_request(message, param=name, code="unsupported_parameter")


def _include_usage(options: object, *, stream: bool) -> bool:
    """Read what a stream is to hold."""
    if options is None:
        return False
    if not stream:
        raise bad_request("'stream_options' is only allowed when 'stream' is true.", param="stream_options")
    if not isinstance(options, dict):
        raise bad_request("'stream_options' must be an object.", param="stream_options")
    return bool(read_flag(options, "include_usage"))
