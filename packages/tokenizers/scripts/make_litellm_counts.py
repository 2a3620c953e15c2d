"""Write what LiteLLM counts for generated messages, tools and schemas, which the tests hold the estimates against.

    export LITELLM_LOCAL_MODEL_COST_MAP=True  # or it asks the network for prices
    uv run --no-project --isolated --with litellm==1.106.2 packages/tokenizers/scripts/make_litellm_counts.py

LiteLLM lives in an environment of its own, which uv makes; nothing else of this workspace needs it. It follows no
references and writes unions as ``any``, so it is given the resolved form: each reference replaced by its definition
and, in tools, each ``anyOf`` by its longest alternative. Schemas, for which it has no rule, it counts as compact JSON.
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, Final

from litellm import token_counter  # type: ignore[import-not-found]  # lives in an environment of its own

TARGET: Final = Path(__file__).parents[1] / "tests" / "data" / "litellm_counts.jsonl"
MODELS: Final = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}
EACH: Final = 70
_PROSE: Final = """
order invoice customer delivery was late the a of and Größe façade naïve 配送 遅れ 🎈 it's don't 12 1999 3.14 {name}
refund "quoted" back\\slash e-mail ping@example.org https://example.com/a?b=c <|endoftext|> SKU_991 CamelCase
"""
_FIELDS: Final = "name score total created_at customerId items best_item note tags kind price größe unit url"
WORDS, NAMES = _PROSE.split(), _FIELDS.split()
ENUMS: Final = (["positive", "neutral", "negative"], ["EUR", "USD"], ["open", "in progress", "closed", "won't fix"])


class Cases:
    """Draws cases that look like what workers send."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # repeatable on purpose

    def messages(self) -> dict[str, Any]:
        """Draw a conversation, with names, content parts and calls of tools now and then."""
        opening = [{"role": "system", "content": self._text(30)}] if self._often(0.6) else []
        return {"messages": opening + [self._message() for _ in range(self._random.randint(1, 3))]}

    def tools(self) -> dict[str, Any]:
        """Draw a question with tools."""
        tools = [self._tool(index) for index in range(self._random.randint(1, 2))]
        choice = self._random.choice([None, "auto", "none", {"type": "function", "function": {"name": "tool_0"}}])
        return {**self.messages(), "tools": tools, "tool_choice": choice}

    def schema(self) -> dict[str, Any]:
        """Draw an object's schema, as Pydantic writes it."""
        names = [f"Part{index}" for index in range(self._random.randint(0, 3))]
        definitions = {name: self._object(names[index + 1 :]) for index, name in enumerate(names)}
        return {**self._object(names), **({"$defs": definitions} if definitions else {})}

    def _often(self, share: float) -> bool:
        return self._random.random() < share

    def _text(self, most: int) -> str:
        return " ".join(self._random.choices(WORDS, k=self._random.randint(1, most)))

    def _message(self) -> dict[str, Any]:
        if self._often(0.15):
            return {"role": "user", "content": [{"type": "text", "text": self._text(30)} for _ in range(2)]}
        if self._often(0.15):
            call = {"name": "find_order", "arguments": json.dumps({"query": self._text(20)})}
            return {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": call}],
            }
        if self._often(0.15):
            return {"role": "tool", "tool_call_id": "call_1", "content": self._text(25)}
        named = {"name": "ada"} if self._often(0.2) else {}
        return {"role": self._random.choice(["user", "assistant"]), "content": self._text(40), **named}

    def _tool(self, index: int) -> dict[str, Any]:
        described = {"description": self._text(15)} if self._often(0.8) else {}
        return {
            "type": "function",
            "function": {"name": f"tool_{index}", **described, "parameters": self.schema()},
        }

    def _object(self, names: list[str]) -> dict[str, Any]:
        fields = {name: self._field(names) for name in self._random.sample(NAMES, self._random.randint(1, 6))}
        required = [name for name in fields if self._often(0.7)]
        described = {"description": self._text(8)} if self._often(0.3) else {}
        return {**described, "type": "object", "properties": fields, "required": required}

    def _field(self, names: list[str]) -> dict[str, Any]:
        kind = self._type(names)
        if self._often(0.15):
            kind = {"anyOf": [kind, {"type": "null"}]}
        elif self._often(0.05):
            kind = {"anyOf": [kind, {"type": "string"}]}
        return {**kind, "description": self._text(10)} if self._often(0.5) else kind

    def _type(self, names: list[str]) -> dict[str, Any]:
        if names and self._often(0.3):
            return {"$ref": f"#/$defs/{self._random.choice(names)}"}
        if self._often(0.15):
            return {"type": "array", "items": self._type(names)}
        if self._often(0.15):
            return {"type": "string", "enum": self._random.choice(ENUMS)}
        return {"type": self._random.choice(["string", "integer", "number", "boolean"])}


def resolved(node: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401  JSON is of any type
    """Replace every reference by what it refers to."""
    if isinstance(node, list):
        return [resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = {**definitions[node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
    return {key: resolved(value, definitions) for key, value in node.items() if key != "$defs"}


def without_unions(node: Any) -> Any:  # noqa: ANN401  JSON is of any type
    """Replace every union by its longest alternative."""
    if isinstance(node, list):
        return [without_unions(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node:
        longest = max(node["anyOf"], key=lambda option: len(json.dumps(option)))
        node = {**longest, **{key: value for key, value in node.items() if key != "anyOf"}}
    return {key: without_unions(value) for key, value in node.items()}


def plain_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Resolve a tool's parameters."""
    parameters = tool["function"]["parameters"]
    plain = without_unions(resolved(parameters, parameters.get("$defs", {})))
    return {**tool, "function": {**tool["function"], "parameters": plain}}


def counted(case: dict[str, Any], model: str) -> int:
    """Return LiteLLM's count of one case."""
    if "schema" in case:
        plain = resolved(case["schema"], case["schema"].get("$defs", {}))
        return int(token_counter(model, text=json.dumps(plain, ensure_ascii=False, separators=(",", ":"))))
    tools = [plain_tool(tool) for tool in case.get("tools", ())]
    return int(token_counter(model, messages=case["messages"], tools=tools, tool_choice=case.get("tool_choice")))


def lines() -> Iterator[dict[str, Any]]:
    """Yield where the numbers come from, and then each case with them."""
    yield {"litellm": version("litellm"), "models": MODELS}
    cases = Cases(seed=5)
    for _ in range(EACH):
        for case in (cases.messages(), cases.tools(), {"schema": cases.schema()}):
            yield {"case": case, "counts": {encoding: counted(case, model) for encoding, model in MODELS.items()}}


if __name__ == "__main__":
    written = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines())
    TARGET.write_text(written, encoding="utf-8")
