"""Every answer fits the schema that was asked for; what cannot be drawn is refused by name."""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, Optional
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, TypeAdapter

from penstock_local_azure._openai._answers import answer
from penstock_local_azure._openai._api_error import ApiError
from penstock_local_azure._openai._schema import read_schema
from penstock_local_azure._openai._violations import malform, violate

FORMATS = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "duration": r"P\dDT\dH\dM",
    "email": r"[^@ ]+@[^@ ]+\.com",
    "hostname": r"[a-z0-9.]+",
    "ipv4": r"\d+\.\d+\.\d+\.\d+",
    "ipv6": r"[0-9a-f:]+",
    "time": r"\d\d:\d\d:\d\dZ",
    "uri": r"https://\S+",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}",
}


def drawn(schema: Mapping[str, Any], prompt: str = "", *, seed: int = 0, strict: bool = False) -> Any:
    return json.loads(answer(seed, prompt, read_schema(json.dumps(schema), strict=strict)))


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def fits(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Check a value the way the specification words it, keyword by keyword."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        return any(fits(value, option, root) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return bool(value == schema["const"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return any(_fits_type(value, kind, schema, root) for kind in types)


def _fits_type(value: Any, kind: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "number":
            numbers = int if kind == "integer" else (int, float)
            return isinstance(value, numbers) and not isinstance(value, bool) and _in_bounds(value, schema)
        case "string":
            return (
                isinstance(value, str)
                and _in_span(len(value), schema, "Length")
                and ("format" not in schema or bool(re.fullmatch(FORMATS[schema["format"]], value)))
            )
        case "array":
            return (
                isinstance(value, list)
                and _in_span(len(value), schema, "Items")
                and all(fits(item, schema["items"], root) for item in value)
            )
        case _:
            return (
                isinstance(value, dict)
                and set(schema["required"]) <= set(value) <= set(schema["properties"])
                and all(fits(each, schema["properties"][name], root) for name, each in value.items())
            )


def _in_bounds(value: float, schema: Mapping[str, Any]) -> bool:
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and ("multipleOf" not in schema or value % schema["multipleOf"] == 0)
    )


def _in_span(size: int, schema: Mapping[str, Any], what: str) -> bool:
    return bool(schema.get(f"min{what}", size) <= size <= schema.get(f"max{what}", size))


def sized(kind: str, what: str, most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas with both sizes, either or none."""
    span = st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)
    both = span.map(lambda ends: {f"min{what}": ends[0], f"max{what}": ends[1]})
    one = st.builds(lambda end, size: {f"{end}{what}": size}, st.sampled_from(["min", "max"]), st.integers(0, most))
    none: st.SearchStrategy[dict[str, int]] = st.just({})
    return (both | one | none).map(lambda sizes: {"type": kind, **sizes})


def bounded(kind: str, bound: st.SearchStrategy[Any], gap: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of numbers with bounds that leave room."""
    low, high = (st.sampled_from([None, f"{end}imum", f"exclusive{end.capitalize()}imum"]) for end in ("min", "max"))
    return st.builds(
        lambda start, least, most: {
            key: value for key, value in (("type", kind), (least, start), (most, start + gap)) if key is not None
        },
        bound,
        low,
        high,
    )


SCALARS = st.one_of(
    st.sampled_from([{"type": kind} for kind in ("null", "boolean", "integer", "number", "string")]),
    st.sampled_from(sorted(FORMATS)).map(lambda name: {"type": "string", "format": name}),
    st.lists(st.text(max_size=4) | st.integers(), min_size=1, max_size=4).map(lambda values: {"enum": values}),
    st.text(max_size=4).map(lambda value: {"type": "string", "const": value}),
    sized("string", "Length", 60),
    bounded("integer", st.integers(-(2**63), 2**63), 3),
    bounded("number", st.floats(-1e6, 1e6), 0.5),
    st.integers(1, 9).map(lambda step: {"type": "integer", "multipleOf": step, "minimum": 7, "maximum": 40}),
    st.lists(st.sampled_from(["string", "null", "integer"]), min_size=1, unique=True).map(lambda each: {"type": each}),
)


def objects(shapes: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Closed objects, some of whose properties need not be there."""
    properties = st.dictionaries(st.text(max_size=4), st.tuples(shapes, st.booleans()), max_size=4)
    return properties.map(
        lambda each: {
            "type": "object",
            "properties": {name: shape for name, (shape, _) in each.items()},
            "required": [name for name, (_, required) in each.items() if required],
            "additionalProperties": False,
        }
    )


SCHEMAS = st.recursive(
    SCALARS | st.just({"$ref": "#/$defs/Node"}),
    lambda inner: st.one_of(
        objects(inner),
        st.builds(lambda array, items: {**array, "items": items}, sized("array", "Items", 3), inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)
# A tree, each of whose nodes may hold more of them: drawn values must end all the same.
NODE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["name", "children", "next"],
    "additionalProperties": False,
}


@given(schema=SCHEMAS, seed=st.integers(0, 2**32), prompt=st.text())
def test_every_answer_fits_its_schema(schema: dict[str, Any], seed: int, prompt: str) -> None:
    schema = {**schema, "$defs": {"Node": NODE}}

    assert fits(drawn(schema, prompt, seed=seed), schema, schema)


@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_a_violated_answer_never_fits_its_schema(schema: dict[str, Any], seed: int) -> None:
    schema = {**schema, "$defs": {"Node": NODE}}
    plan = read_schema(json.dumps(schema), strict=False)

    violated = violate(answer(seed, "", plan), plan)

    assert not is_json(violated) or not fits(json.loads(violated), schema, schema)


def test_where_a_value_of_any_kind_fits_a_violated_answer_is_no_json() -> None:
    kinds = ["array", "boolean", "null", "number", "object", "string"]
    plan = read_schema(json.dumps({"type": kinds, "items": {"type": "null"}}), strict=False)

    assert not is_json(violate("[]", plan))


@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_a_malformed_answer_is_never_json(schema: dict[str, Any], seed: int) -> None:
    plan = read_schema(json.dumps({**schema, "$defs": {"Node": NODE}}), strict=False)

    assert not is_json(malform(answer(seed, "", plan)))


def test_a_violated_answer_leaves_all_but_one_value_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "any": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Node"}]},
            "node": {"$ref": "#/$defs/Node"},
        },
        "required": ["any", "node"],
        "$defs": {"Node": NODE},
    }
    plan = read_schema(json.dumps(schema), strict=False)
    right = answer(1, "", plan)

    assert json.loads(violate(right, plan)) == {**json.loads(right), "any": []}


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    product: str = Field(min_length=1, max_length=30)
    count: int = Field(ge=1, le=99)
    price: float = Field(gt=0, lt=10_000)


class Order(BaseModel):
    """Whatever pydantic writes into a schema that structured outputs take."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    placed: datetime
    due: date
    at: time
    within: timedelta
    mood: Mood
    kind: Literal["new", "changed"]
    always: Literal[1]
    lines: list[Line] = Field(min_length=1, max_length=4)
    rating: float = Field(ge=0, le=5, multiple_of=0.1)
    even: int = Field(multiple_of=2)
    remark: str | None
    client: IPv4Address | IPv6Address
    link: AnyUrl
    replaces: Optional["Order"]
    urgent: bool


class Orders(BaseModel):
    model_config = ConfigDict(extra="forbid")

    orders: list[Order]


@given(seed=st.integers(0, 2**32))
def test_answers_validate_as_pydantic_models(seed: int) -> None:
    plan = read_schema(json.dumps(Orders.model_json_schema()), strict=True)

    orders = Orders.model_validate_json(answer(seed, "", plan)).orders

    assert all(order.always == 1 for order in orders)


class TestVariety:
    schema = TypeAdapter(Line).json_schema()

    def test_the_same_seed_and_prompt_give_the_same_answer(self) -> None:
        assert drawn(self.schema, "a", seed=1) == drawn(self.schema, "a", seed=1)

    def test_another_prompt_or_seed_gives_another(self) -> None:
        answers = [json.dumps(drawn(self.schema, prompt, seed=seed)) for prompt in ("a", "b") for seed in (1, 2)]

        assert len(set(answers)) == 4

    def test_without_a_schema_the_answer_is_a_sentence(self) -> None:
        assert re.fullmatch(r"[A-Z][a-z ]+\.( [A-Z][a-z ]+\.)*", answer(1, "hello", None))
        assert answer(1, "hello", None) != answer(1, "goodbye", None)

    def test_a_prompt_may_hold_what_no_encoding_takes(self) -> None:
        assert answer(1, "\ud800\0", None)

    def test_now_and_then_values_come_from_the_edge(self) -> None:
        schema = {
            "type": "object",
            "properties": {
                "text": {"type": "string", "maxLength": 80},
                "number": {"type": "integer", "minimum": -1_000_000, "maximum": 1_000_000},
                "list": {"type": "array", "items": {"type": "null"}, "maxItems": 3},
            },
            "required": ["text", "number", "list"],
        }

        answers = [drawn(schema, str(turn)) for turn in range(400)]

        texts = {each["text"] for each in answers}
        assert "" in texts
        assert any(len(text) == 80 for text in texts)
        assert any(not text.isascii() for text in texts)
        assert {-1_000_000, 1_000_000} <= {each["number"] for each in answers}
        assert {len(each["list"]) for each in answers} == {0, 1, 2, 3}
        # Now and then: most values are ordinary.
        assert sum(each["number"] in (-1_000_000, 1_000_000) for each in answers) < 80


class TestRefusals:
    @pytest.mark.parametrize(
        ("schema", "named"),
        [
            ({"type": "string", "pattern": "^a+$"}, "'pattern' at /"),
            ({"type": "string", "format": "iri"}, "'iri' at /"),
            ({"type": "string", "format": "uuid", "maxLength": 5}, "'uuid' at /"),
            ({"type": "array", "items": {"type": "null"}, "uniqueItems": True}, "'uniqueItems' at /"),
            ({"oneOf": [{"type": "null"}]}, "'oneOf' at /"),
            ({"allOf": [{"type": "null"}, {"type": "null"}]}, "'allOf' at /"),
            ({"type": "object", "properties": {"a": {"not": {}}}}, "'not' at /properties/a"),
            ({"$ref": "https://example.com/schema"}, "a reference that leaves the schema at /"),
            ({"$ref": "#/$defs/A", "minimum": 1, "$defs": {"A": {"type": "integer"}}}, "'minimum' at /"),
            ({"type": "integer", "multipleOf": 0.5}, "'multipleOf' at /"),
        ],
    )
    def test_what_the_stand_in_does_not_draw_is_named(self, schema: dict[str, Any], named: str) -> None:
        with pytest.raises(ApiError, match=re.escape(named)) as refusal:
            read_schema(json.dumps(schema), strict=False)

        assert refusal.value.status == 501

    @pytest.mark.parametrize(
        ("schema", "why"),
        [
            ({"type": "text"}, "a JSON type"),
            ({"type": "integer", "minimum": 3, "maximum": 2}, "no number fits"),
            ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "no number fits"),
            ({"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9}, "no number fits"),
            ({"type": "integer", "minimum": "1"}, "must be a number"),
            ({"type": "string", "minLength": -1}, "whole numbers from 0"),
            ({"type": "string", "minLength": 2, "maxLength": 1}, "is below"),
            ({"type": "string", "enum": [1, None]}, "no value fits"),
            ({"enum": []}, "no value fits"),
            ({"enum": "a"}, "must be a list"),
            ({"anyOf": []}, "at least one schema"),
            ({"$ref": "#/$defs/Missing"}, "points to nothing"),
            ({"type": "object", "properties": {}, "required": ["a"]}, "names what 'properties' lacks"),
            ({"type": "object", "properties": []}, "'properties' must be an object"),
            ({"type": "array", "items": 1}, "must be an object"),
            ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "no finite value fits"),
        ],
    )
    def test_what_nothing_fits_is_invalid(self, schema: dict[str, Any], why: str) -> None:
        with pytest.raises(ApiError, match=re.escape(why)) as refusal:
            read_schema(json.dumps(schema), strict=False)

        assert refusal.value.status == 400

    @pytest.mark.parametrize(
        ("schema", "why"),
        [
            ({"type": "array", "items": {"type": "null"}}, "the root's type must be 'object'"),
            ({"type": "object", "properties": {}}, "'additionalProperties' must be there and false"),
            (
                {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
                "'required' must name every property",
            ),
            ({"type": "object", "oneOf": []}, "'oneOf' is not permitted"),
        ],
    )
    def test_strict_asks_for_closed_and_complete_objects(self, schema: dict[str, Any], why: str) -> None:
        with pytest.raises(ApiError, match=re.escape(why)) as refusal:
            read_schema(json.dumps(schema), strict=True)

        assert refusal.value.status == 400

    def test_an_alternative_that_cannot_be_drawn_is_never_taken(self) -> None:
        schema = {"anyOf": [{"type": "string", "pattern": "^a$"}, {"type": "null"}]}

        assert {drawn(schema, str(turn)) for turn in range(20)} == {None}

    def test_deep_nesting_is_refused_not_fallen_into(self) -> None:
        schema: dict[str, Any] = {"type": "null"}
        for _ in range(150):
            schema = {"type": "array", "items": schema}

        with pytest.raises(ApiError, match="nested too deep"):
            read_schema(json.dumps(schema), strict=False)
