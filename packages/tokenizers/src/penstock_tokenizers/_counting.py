"""Token counts of the parts of a chat request.

Where OpenAI published a rule it is followed; where there is none, a count that errs upwards is taken, because
a reservation that is too small overruns the quota and one that is too large only waits a little longer.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import tiktoken

TOKENS_PER_MESSAGE: Final = 3
TOKENS_PER_NAME: Final = 1
TOKENS_OF_PRIMING: Final = 3

_TEXT_PARTS: Final = ("text", "refusal")
_BLOCK: Final = 50_000


def count_text(encoding: tiktoken.Encoding, text: str) -> int:
    """Count the tokens of a text; markers such as ``<|endoftext|>`` in it are text, too.

    A lone surrogate, which JSON can carry but UTF-8 cannot, counts as U+FFFD, which is what arrives when it is sent.
    """
    return sum(len(encoding.encode_ordinary(piece)) for piece in _pieces(text))


def count_messages(encoding: tiktoken.Encoding, messages: Iterable[Mapping[str, Any]]) -> int:
    """Count a chat prompt by the rule of OpenAI's cookbook ("How to count tokens with tiktoken").

    Three tokens for each message, every value's text, one more for a name, and three that prime the answer.
    Values that are no text, such as tool calls, count as compact JSON.

    Raises:
        ValueError: a content part is neither text nor refusal; for images, audio and files no rule is published.
    """
    return TOKENS_OF_PRIMING + sum(_count_message(encoding, message) for message in messages)


def count_schema(encoding: tiktoken.Encoding, schema: Mapping[str, Any]) -> int:
    """Count a JSON Schema as compact JSON, every reference with the whole definition it points to.

    No rule is published for schemas. The model sees definitions expanded in a notation terser than JSON, so this
    is an upper bound. A definition inside itself is expanded once. Definitions nobody refers to cost nothing.
    """
    return _SchemaCounter(encoding, schema).total()


def count_tools(encoding: tiktoken.Encoding, tools: Iterable[Mapping[str, Any]]) -> int:
    """Count tool definitions as `count_schema` does: an upper bound of what the service renders from them."""
    return sum(_count_tool(encoding, tool) for tool in tools)


def _pieces(text: str) -> Iterator[str]:
    """Cut a text before every whole block of whitespace, so that no run of it reaches two blocks.

    tiktoken 0.14 overflows its stack, beyond what ``except Exception`` catches, on a run of a million.
    """
    whole_blocks = range(_BLOCK, len(text) - _BLOCK + 1, _BLOCK)
    cuts = [start for start in whole_blocks if text[start : start + _BLOCK].isspace()]
    return (text[start:end] for start, end in pairwise([0, *cuts, len(text)]))


def _count_message(encoding: tiktoken.Encoding, message: Mapping[str, Any]) -> int:
    """Count one message without the priming."""
    values = sum(count_text(encoding, text) for value in message.values() for text in _texts(value))
    return TOKENS_PER_MESSAGE + values + (TOKENS_PER_NAME if message.get("name") else 0)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts a message's value is counted by."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(part, Mapping) and "type" in part for part in value):
        yield from map(_part_text, value)
    elif value is not None:
        yield _compact(value)


def _part_text(part: Mapping[str, Any]) -> str:
    """Return the text of one content part, or of one tool call."""
    kind = part["type"]
    if kind in _TEXT_PARTS:
        return str(part[kind])
    if kind in ("function", "custom"):
        return _compact(part)
    raise ValueError(f"messages: a content part of type {kind!r} cannot be counted")


def _count_tool(encoding: tiktoken.Encoding, tool: Mapping[str, Any]) -> int:
    """Count a tool around its parameters, then the parameters with their own definitions."""
    function = tool.get("function", {})
    parameters = function.get("parameters")
    frame = {**tool, "function": {key: value for key, value in function.items() if key != "parameters"}}
    return count_text(encoding, _compact(frame)) + (count_schema(encoding, parameters) if parameters else 0)


class _SchemaCounter:
    """Counts one schema; each definition is counted once and added as often as it is referred to.

    Expanding the text itself would grow exponentially with the depth of definitions that use others twice.
    """

    def __init__(self, encoding: tiktoken.Encoding, schema: Mapping[str, Any]) -> None:
        self._encoding = encoding
        self._body = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        self._definitions = {
            f"#/{keyword}/{name}": definition
            for keyword in ("$defs", "definitions")
            for name, definition in schema.get(keyword, {}).items()
        }
        self._counted: dict[str, int] = {}

    def total(self) -> int:
        """Count the schema's body and everything it refers to."""
        return self._count(self._body)

    def _count(self, node: object) -> int:
        """Count a subtree's own text and the definitions behind its references."""
        return count_text(self._encoding, _compact(node)) + sum(map(self._definition, _references(node)))

    def _definition(self, reference: str) -> int:
        """Count a definition, remembering it; inside its own expansion it adds nothing."""
        if reference not in self._counted:
            self._counted[reference] = 0
            self._counted[reference] = self._count(self._definitions.get(reference, {}))
        return self._counted[reference]


def _references(node: object) -> Iterator[str]:
    """Yield every ``$ref`` below a node."""
    if isinstance(node, Mapping):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _compact(value: object) -> str:
    """Serialise as JSON without spaces and escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
