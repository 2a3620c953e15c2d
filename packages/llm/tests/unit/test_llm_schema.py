"""Schemas as strict mode wants them, and everything else the model says left in place."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, create_model

from penstock_llm._shape import shape_of


class Item(BaseModel):
    """One thing bought."""

    name: str
    price: float = Field(ge=0, description="in euros")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    best: Item = Field(description="the dearest one")
    items: list[Item]
    note: str | None = None
    count: int = 1
    tags: set[str] = set()
    pet: Cat | Dog = Field(discriminator="kind")
    properties: str
    default: str


class Node(BaseModel):
    label: str
    children: list["Node"]


class Tree(BaseModel):
    branch: "Branch | None"


class Branch(BaseModel):
    tree: Tree


class WithNode(BaseModel):
    first: Node


class Empty(BaseModel):
    pass


class WithMapping(BaseModel):
    counts: dict[str, int]


class WithTuple(BaseModel):
    pair: tuple[int, str]


class WithAny(BaseModel):
    anything: Any


class WithExtras(BaseModel, extra="allow"):
    score: int


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = shape_of(model).schema
    assert schema is not None
    return dict(schema)


def objects(node: Any) -> list[dict[str, Any]]:
    """Find every schema of an object."""
    found = [node] if isinstance(node, dict) and node.get("type") == "object" else []
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found + [schema for value in below for schema in objects(value)]


def test_every_object_is_closed_and_requires_all_it_has() -> None:
    found = objects(schema_of(Order))
    assert len(found) == 4
    for schema in found:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


def test_fields_that_have_a_keywords_name_stay_fields() -> None:
    assert {"properties", "default"} <= schema_of(Order)["properties"].keys()


def test_what_strict_mode_refuses_is_rewritten_and_the_rest_is_kept() -> None:
    properties = schema_of(Order)["properties"]
    assert properties["best"] == {"anyOf": [{"$ref": "#/$defs/Item"}], "description": "the dearest one"}
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert properties["count"] == {"type": "integer"}
    assert properties["tags"] == {"type": "array", "items": {"type": "string"}}
    assert properties["pet"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert schema_of(Order)["$defs"]["Item"]["properties"]["price"] == {
        "type": "number",
        "minimum": 0,
        "description": "in euros",
    }
    assert schema_of(Order)["$defs"]["Item"]["description"] == "One thing bought."


def test_a_root_model_of_an_object_is_that_object_at_the_top() -> None:
    assert schema_of(RootModel[Item]) == {**schema_of(Item), "$defs": {"Item": schema_of(Item)}}


@pytest.mark.parametrize("model", [Node, Tree, WithNode])
def test_a_model_that_contains_itself_is_refused_by_name(model: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match=f"response_model {model.__name__} must not be recursive"):
        shape_of(model)


@pytest.mark.parametrize("model", [Order, Empty, Item])
def test_closed_models_are_enforced(model: type[BaseModel]) -> None:
    assert shape_of(model).strict


@pytest.mark.parametrize("model", [WithMapping, WithTuple, WithAny, WithExtras])
def test_what_strict_mode_cannot_express_is_sent_as_a_hint(model: type[BaseModel]) -> None:
    assert not shape_of(model).strict
    assert schema_of(model)["type"] == "object"


def test_a_shape_is_built_once_and_its_name_is_one_the_endpoint_takes() -> None:
    model = create_model("Page[Größe] " + "x" * 80, score=(int, ...))
    assert shape_of(model) is shape_of(model)
    assert shape_of(model).name.startswith("Page_Gr_e_x")
    assert len(shape_of(model).name) == 64


@given(score=st.integers(), reason=st.text())
def test_what_a_model_writes_its_shape_reads(score: int, reason: str) -> None:
    model = create_model("Verdict", score=(int, ...), reason=(str, ...))
    verdict = model(score=score, reason=reason)
    assert shape_of(model).read(verdict.model_dump_json()) == verdict
