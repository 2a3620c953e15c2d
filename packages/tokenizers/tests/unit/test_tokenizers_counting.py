"""Counts: exact where a rule is published, never too small where there is none, no input that raises."""

import json
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from penstock_tokenizers import (
    count_messages,
    count_prompt,
    count_schema,
    count_text,
    count_tools,
    encoding_for,
)

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


def test_a_call_of_a_function_counts_its_name_its_arguments_and_three_more(encoding: tiktoken.Encoding) -> None:
    call = {"id": "call_4711", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, call]}
    words = count_text(encoding, "f") + count_text(encoding, '{"x": 1}')
    assert count_messages(encoding, [message]) == 3 + 3 + count_text(encoding, "assistant") + 2 * (3 + words)


def test_a_call_of_another_kind_counts_as_json(encoding: tiktoken.Encoding) -> None:
    call = {"id": "1", "type": "custom", "custom": {"name": "f", "input": "x"}}
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
    leaf = {"type": "object", "properties": {"children": {"type": "array", "items": 0}}}
    recursive = count_schema(encoding, {"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}})
    assert recursive == count_text(encoding, "0") + count_text(encoding, compact(leaf))


def test_references_lead_anywhere_in_the_schema_and_those_that_lead_nowhere_cost_next_to_nothing(
    encoding: tiktoken.Encoding,
) -> None:
    long = {"type": "string", "description": "where " * 20}
    fields = {"a/b": long, "again": {"$ref": "#/properties/a~1b"}, "$ref": {"type": "string"}}
    schema = {"type": "object", "properties": fields}
    once = count_text(encoding, compact(long))
    assert count_schema(encoding, schema) > 2 * once
    assert count_schema(encoding, {**schema, "properties": {**fields, "again": {"$ref": "#/nowhere"}}}) < 2 * once


def test_definitions_that_double_at_every_level_are_counted_without_expanding_them(
    encoding: tiktoken.Encoding,
) -> None:
    definitions: dict[str, Any] = {
        f"D{i}": {"anyOf": [{"$ref": f"#/$defs/D{i + 1}"}, {"$ref": f"#/$defs/D{i + 1}"}]} for i in range(60)
    }
    definitions["D60"] = {"type": "string"}
    assert count_schema(encoding, {"$ref": "#/$defs/D0", "$defs": definitions}) > 2**60


def tool(parameters: dict[str, Any] | None, **function: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "parameters": parameters, **function}}


def of(field: dict[str, Any], **definitions: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": field}, "$defs": definitions}


PLACE = {"type": "object", "properties": {"name": {"type": "string", "description": "as people call it " * 9}}}


def test_tools_count_by_the_notation_that_models_read(encoding: tiktoken.Encoding) -> None:
    lines = ["namespace functions {", "", "// Look.", "type weather = (_: {", "x?: string,", "}) => any;", ""]
    written = "\n".join([*lines, "} // namespace functions"])
    assert count_tools(encoding, [tool(of({"type": "string"}), description="Look.")]) == 9 + count_text(
        encoding, written
    )
    assert count_tools(encoding, []) == 0


@pytest.mark.parametrize(
    "field",
    [
        {"$ref": "#/$defs/Place"},
        {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
        {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/Place"}]},
        {"allOf": [{"$ref": "#/$defs/Place"}]},
        {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        {"type": "array", "prefixItems": [{"$ref": "#/$defs/Place"}, {"type": "string"}]},
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/Place"}},
        {"type": "object", "properties": {"inner": {"type": "array", "items": {"$ref": "#/$defs/Place"}}}},
    ],
)
def test_a_definition_counts_wherever_it_is_referred_to(encoding: tiktoken.Encoding, field: dict[str, Any]) -> None:
    with_place = count_tools(encoding, [tool(of(field, Place=PLACE))])
    with_string = count_tools(encoding, [tool(of(field, Place={"type": "string"}))])
    assert with_place - with_string >= count_text(encoding, "as people call it " * 9)


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ({"enum": ["hot", "cold"]}, '"hot" | "cold"'),
        ({"const": "hot", "type": "string"}, '"hot"'),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "integer"}, "number"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number | null"),
        ({"type": "array", "items": {"type": "boolean"}}, "boolean[]"),
        ({"type": "array"}, "any[]"),
        ({}, "any"),
        (True, "any"),
    ],
)
def test_a_type_is_written_out(encoding: tiktoken.Encoding, field: Any, written: str) -> None:
    plain, other = count_tools(encoding, [tool(of({}))]), count_tools(encoding, [tool(of(field))])
    assert other - plain == count_text(encoding, f": {written},\n") - count_text(encoding, ": any,\n")


def test_definitions_of_tools_that_double_at_every_level_are_counted_without_expanding_them(
    encoding: tiktoken.Encoding,
) -> None:
    doubling: dict[str, Any] = {
        f"D{i}": {"anyOf": [{"$ref": f"#/$defs/D{i + 1}"}, {"$ref": f"#/$defs/D{i + 1}"}]} for i in range(60)
    }
    assert count_tools(encoding, [tool(of({"$ref": "#/$defs/D0"}, **doubling))]) > 2**59


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "anyOf", "enum", "required", "$ref", "function", "x"]),
            below,
        )
    ),
    max_leaves=20,
)


@given(parameters=JSON, schema=st.dictionaries(st.sampled_from(["$defs", "$ref", "properties"]), JSON))
def test_what_is_no_schema_counts_somehow(encoding: tiktoken.Encoding, parameters: Any, schema: Any) -> None:
    assert count_tools(encoding, [tool(parameters)]) > 0
    assert count_schema(encoding, schema) > 0


def test_the_choice_of_a_tool_counts(encoding: tiktoken.Encoding) -> None:
    tools, chosen = [tool(of({"type": "string"}))], {"type": "function", "function": {"name": "weather"}}
    assert count_tools(encoding, tools, "auto") == count_tools(encoding, tools)
    assert count_tools(encoding, tools, "none") == count_tools(encoding, tools) + 1
    assert count_tools(encoding, tools, chosen) == count_tools(encoding, tools) + 7 + count_text(encoding, "weather")


def test_a_tool_that_is_no_function_counts_as_json(encoding: tiktoken.Encoding) -> None:
    other = {"type": "custom", "custom": {"name": "code", "description": "Write code. " * 9}}
    assert count_tools(encoding, [other]) >= count_text(encoding, compact(other))


def test_tools_share_four_tokens_with_a_system_message(encoding: tiktoken.Encoding) -> None:
    tools = [tool(None)]
    system, user = {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Rain?"}
    both = count_messages(encoding, [system, user]) + count_tools(encoding, tools)
    assert count_prompt(encoding, [system, user], tools) == both - 4
    assert count_prompt(encoding, [user], tools) == count_messages(encoding, [user]) + count_tools(encoding, tools)
    assert count_prompt(encoding, [system, user]) == count_messages(encoding, [system, user])
