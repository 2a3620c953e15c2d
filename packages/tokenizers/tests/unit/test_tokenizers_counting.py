"""Counts: exact where a rule is published, never too small where there is none, no input that raises."""

import json
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from penstock_tokenizers import count_messages, count_schema, count_text, count_tools, encoding_for

ANY_TEXT = st.text(st.characters(codec=None))  # surrogates included


@pytest.fixture(scope="module", params=["o200k_base", "cl100k_base"])
def encoding(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    return encoding_for(request.param)


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(text=ANY_TEXT)
def test_text_counts_as_a_direct_encode_and_never_raises(encoding: tiktoken.Encoding, text: str) -> None:
    assert count_text(encoding, text) == len(encoding.encode_ordinary(text))


def test_special_tokens_in_a_text_are_text(encoding: tiktoken.Encoding) -> None:
    assert count_text(encoding, "<|endoftext|>") > 1


def test_a_lone_surrogate_counts_as_the_replacement_character(encoding: tiktoken.Encoding) -> None:
    assert count_text(encoding, "a\ud800b") == count_text(encoding, "a\ufffdb")


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0"])
def test_a_million_blanks_are_counted(encoding: tiktoken.Encoding, blank: str) -> None:
    assert 0 < count_text(encoding, "x" + blank * 1_000_000 + "y") <= 1_000_002


def test_long_ordinary_text_is_not_cut(encoding: tiktoken.Encoding) -> None:
    text = "Words, with blanks between and a line break at times.\n\n" * 4_000
    assert count_text(encoding, text) == len(encoding.encode_ordinary(text))


@given(messages=st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": ANY_TEXT})))
def test_messages_count_three_each_and_three_for_priming(
    encoding: tiktoken.Encoding, messages: list[dict[str, str]]
) -> None:
    texts = sum(count_text(encoding, text) for message in messages for text in message.values())
    assert count_messages(encoding, messages) == 3 + 3 * len(messages) + texts


def test_a_name_costs_one_more_than_its_text(encoding: tiktoken.Encoding) -> None:
    plain = {"role": "user", "content": "hi"}
    added = count_messages(encoding, [{**plain, "name": "ada"}]) - count_messages(encoding, [plain])
    assert added == 1 + count_text(encoding, "ada")


def test_text_parts_count_as_their_text(encoding: tiktoken.Encoding) -> None:
    parts = [{"type": "text", "text": "hello"}, {"type": "refusal", "refusal": "no"}]
    assert count_messages(encoding, [{"role": "user", "content": parts}]) == (
        3 + 3 + sum(count_text(encoding, text) for text in ("user", "hello", "no"))
    )


def test_an_assistant_message_with_tool_calls_counts_them_as_json(encoding: tiktoken.Encoding) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert count_messages(encoding, [message]) == (
        3 + 3 + count_text(encoding, "assistant") + count_text(encoding, compact(call))
    )


def test_a_part_without_a_published_rule_is_refused_by_its_type(encoding: tiktoken.Encoding) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(ValueError, match="'image_url' cannot be counted"):
        count_messages(encoding, [{"role": "user", "content": [image]}])


def test_a_schema_without_references_counts_as_compact_json(encoding: tiktoken.Encoding) -> None:
    schema = {"type": "object", "properties": {"größe": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
    assert count_schema(encoding, schema) == count_text(encoding, compact(schema))


def expanded(node: Any, definitions: dict[str, Any]) -> Any:
    """Resolve references the plain way, by copying."""
    if isinstance(node, dict):
        if "$ref" in node:
            return expanded(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
        return {key: expanded(value, definitions) for key, value in node.items() if key != "$defs"}
    return [expanded(item, definitions) for item in node] if isinstance(node, list) else node


LEAF = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"enum": ["a", "b"]}])


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Draw schemas whose definitions refer to later ones, also twice and within anyOf and arrays."""
    names = [f"D{i}" for i in range(draw(st.integers(0, 5)))]
    definitions = {name: draw(bodies(names[index + 1 :])) for index, name in enumerate(names)}
    return {**draw(bodies(names)), "$defs": definitions}


def bodies(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    node = LEAF | st.sampled_from(names).map(lambda name: {"$ref": f"#/$defs/{name}"}) if names else LEAF
    nested = node | st.lists(node, max_size=2).map(lambda some: {"anyOf": some})
    nested |= node.map(lambda items: {"type": "array", "items": items})
    return st.dictionaries(st.sampled_from(["name", "score", "items"]), nested).map(
        lambda properties: {"type": "object", "properties": properties}
    )


@given(schema=schemas())
def test_a_schema_never_counts_less_than_its_expansion(encoding: tiktoken.Encoding, schema: dict[str, Any]) -> None:
    assert count_schema(encoding, schema) >= count_text(encoding, compact(expanded(schema, schema["$defs"])))


def test_a_recursive_schema_is_counted_once_around(encoding: tiktoken.Encoding) -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}
    schema = {"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}}
    assert count_schema(encoding, schema) == (
        count_text(encoding, compact({"$ref": "#/$defs/Tree"})) + count_text(encoding, compact(tree))
    )


def test_definitions_that_double_at_every_level_are_counted_without_expanding_them(
    encoding: tiktoken.Encoding,
) -> None:
    definitions: dict[str, Any] = {
        f"D{i}": {"anyOf": [{"$ref": f"#/$defs/D{i + 1}"}, {"$ref": f"#/$defs/D{i + 1}"}]} for i in range(60)
    }
    definitions["D60"] = {"type": "string"}
    assert count_schema(encoding, {"$ref": "#/$defs/D0", "$defs": definitions}) > 2**60


def test_tools_count_their_text_and_their_parameters_expanded(encoding: tiktoken.Encoding) -> None:
    parameters = {"$ref": "#/$defs/City", "$defs": {"City": {"type": "string", "description": "where " * 20}}}
    tool = {"type": "function", "function": {"name": "weather", "description": "Look.", "parameters": parameters}}
    both = count_tools(encoding, [tool, tool])
    assert both == 2 * count_tools(encoding, [tool])
    assert count_tools(encoding, [tool]) >= count_schema(encoding, parameters) + count_text(encoding, "weatherLook.")
    assert count_tools(encoding, []) == 0
