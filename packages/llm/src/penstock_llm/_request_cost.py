"""What a request of any library on the SDK will cost at most, read from its path and its body."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import tiktoken

from penstock_tokenizers import count_messages, count_schema, count_text, count_tools

from ._native import SCHEMA_MARGIN

_LIMITS: Final = {
    "/chat/completions": ("max_completion_tokens", "max_tokens"),
    "/completions": ("max_tokens",),
    "/responses": ("max_output_tokens",),
    "/embeddings": (),
}
"""Operations that cost tokens, and how their bodies name the largest answer; the first name is the one to add."""

_REMEMBERED: Final = ("previous_response_id", "conversation", "prompt")
"""What a body of the responses API refers to, and the endpoint keeps."""

_UNSEEN: Final = frozenset({"input_image", "input_file", "input_audio", "computer_screenshot", "item_reference"})
"""Parts of its input that cost what nothing in the body tells."""


@dataclass(frozen=True, slots=True)
class RequestCost:
    """A request that costs tokens."""

    operation: str
    """The end of its path."""
    deployment: str
    limit_name: str | None
    """What to call the largest answer in a body that does not say; None where there is none."""
    limit: int | None
    """The largest answer in tokens; None if the body does not say."""
    choices: int
    """How many answers it asks for."""
    streaming: bool
    body: Mapping[str, Any] = field(repr=False)

    def prompt_tokens(self, encoding: tiktoken.Encoding) -> int:
        """Count what the model has to read.

        Raises:
            ValueError: Part of it has no published rule (images, audio, files), or is not there, but at the endpoint.
        """
        if (messages := _mappings(self.body.get("messages"))) is not None:
            return self._chat_tokens(encoding, messages)
        if self.operation == "/embeddings":
            return _input_tokens(encoding, self.body.get("input"))
        if self.operation == "/responses":
            _refuse_unseen(self.body)
        # No rule is published for what else there is; its JSON has more tokens than what the model sees.
        return count_text(encoding, _compact(self.body))

    def _chat_tokens(self, encoding: tiktoken.Encoding, messages: list[Mapping[str, Any]]) -> int:
        """Count a chat completion: messages, tools, the schema of the answer."""
        functions = [{"function": function} for function in _mappings(self.body.get("functions")) or ()]
        tools = [*(_mappings(self.body.get("tools")) or ()), *functions]
        return (
            count_messages(encoding, messages)
            + count_tools(encoding, tools, self.body.get("tool_choice"))
            + _format_tokens(encoding, self.body.get("response_format"))
        )


def read_request(path: str, content: bytes) -> RequestCost | None:
    """Read a request; None if it costs no tokens, or is none that the endpoint would take."""
    operation = next((name for name in _LIMITS if path.endswith(name)), None)
    body = _parsed(content) if operation else None
    if operation is None or body is None:
        return None
    names = _LIMITS[operation]
    return RequestCost(
        operation=operation,
        deployment=_deployment(path) or str(body.get("model") or ""),
        limit_name=names[0] if names else None,
        limit=next((body[name] for name in names if _is_count(body.get(name))), None) if names else 0,
        choices=max((body[name] for name in ("n", "best_of") if _is_count(body.get(name))), default=1) * _prompts(body),
        streaming=body.get("stream") is True,
        body=body,
    )


def _prompts(body: Mapping[str, Any]) -> int:
    """Count the prompts of a completion: texts, or tokens already, and each is answered."""
    prompt = body.get("prompt")
    return max(1, sum(isinstance(each, str | list) for each in prompt)) if isinstance(prompt, list) else 1


def _refuse_unseen(body: Mapping[str, Any]) -> None:
    """Refuse a request of the responses API whose text is not all that the model has to read."""
    if remembered := [name for name in _REMEMBERED if body.get(name) is not None]:
        raise ValueError(f"{remembered[0]}: what the endpoint remembers cannot be counted")
    if unseen := sorted(_UNSEEN & set(_kinds(body.get("input")))):
        raise ValueError(f"input: a part of type {unseen[0]!r} cannot be counted")


def _kinds(node: object) -> Iterator[str]:
    """Yield the type of every part of an input."""
    if isinstance(node, Mapping):
        if isinstance(kind := node.get("type"), str):
            yield kind
        node = list(node.values())
    if isinstance(node, list):
        for below in node:
            yield from _kinds(below)


def _deployment(path: str) -> str | None:
    """Return the deployment that a path of the classic route names."""
    _, found, rest = path.partition("/deployments/")
    return rest.partition("/")[0] if found else None


def _parsed(content: bytes) -> dict[str, Any] | None:
    """Parse a body; None if it is no JSON object."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _format_tokens(encoding: tiktoken.Encoding, response_format: object) -> int:
    """Count the schema of an answer."""
    form = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    schema = form.get("schema") if isinstance(form, Mapping) else None
    if not isinstance(form, Mapping) or not isinstance(schema, Mapping):
        return 0
    words = " ".join(str(form.get(key, "")) for key in ("name", "description"))
    return count_text(encoding, words) + count_schema(encoding, schema) + SCHEMA_MARGIN


def _input_tokens(encoding: tiktoken.Encoding, inputs: object) -> int:
    """Count the inputs of embeddings: texts, or tokens already."""
    if isinstance(inputs, str):
        return count_text(encoding, inputs)
    if isinstance(inputs, list):
        return sum(1 if isinstance(each, int) else _input_tokens(encoding, each) for each in inputs)
    return 0


def _mappings(value: object) -> list[Mapping[str, Any]] | None:
    """Return a list of mappings as such."""
    return value if isinstance(value, list) and all(isinstance(each, Mapping) for each in value) else None


def _is_count(value: object) -> bool:
    """Tell whether something can be a number of tokens or choices."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _compact(value: object) -> str:
    """Serialise as JSON without spaces and escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
