"""A Pydantic model's JSON Schema in the dialect of strict structured outputs.

Strict mode (Azure: "Structured outputs", supported schemas) wants every object closed and every property required, has
no ``oneOf``, no ``default`` and no keys beside a ``$ref``. Nothing else a model says is taken away: what strict mode
does not enforce, validation does.
"""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

_DEFINITIONS: Final = "#/$defs/"
_DROPPED: Final = frozenset({"default", "discriminator", "uniqueItems"})
_KINDS: Final = frozenset({"type", "anyOf", "oneOf", "$ref", "enum", "const"})
_INEXPRESSIBLE: Final = frozenset({"prefixItems", "allOf"})
_RENAMED: Final = {"oneOf": "anyOf"}
_MAPS_OF_SCHEMAS: Final = frozenset({"properties", "$defs"})
_LISTS_OF_SCHEMAS: Final = frozenset({"anyOf", "oneOf"})


class _WithoutFieldTitles(GenerateJsonSchema):
    """Leaves out the titles Pydantic derives from field names: they repeat the name and cost tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002  Pydantic's signature
        return False


def strict_schema(model: type[BaseModel]) -> tuple[dict[str, Any], bool]:
    """Return a model's schema, and whether strict mode can enforce it.

    Open mappings (``dict[str, int]``), tuples and ``Any`` cannot be enforced; such a schema is sent as a hint, and
    validation alone decides.

    Raises:
        ValueError: ``model`` does not describe an object, which is all the endpoint takes at the top, or it contains
            itself, so that no estimate bounds what the endpoint makes of it.
    """
    schema = model.model_json_schema(schema_generator=_WithoutFieldTitles)
    if _contains_itself(schema):
        raise ValueError(f"response_model {model.__name__} must not be recursive")
    schema = _with_inline_root(schema)
    if schema.get("type") != "object":
        raise ValueError(f"response_model {model.__name__} must describe an object, not {schema.get('type')!r}")
    return (_strict(schema), True) if _enforceable(schema) else (schema, False)


def _with_inline_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Replace a reference at the top, which root models have, by what it refers to."""
    if (reference := schema.get("$ref")) is None:
        return schema
    return {**schema["$defs"][reference.removeprefix(_DEFINITIONS)], "$defs": schema["$defs"]}


def _contains_itself(schema: Mapping[str, Any]) -> bool:
    """Tell whether some definition refers to itself, directly or through others."""
    uses = {name: set(_references(definition)) for name, definition in schema.get("$defs", {}).items()}
    try:
        TopologicalSorter(uses).prepare()
    except CycleError:
        return True
    return False


def _references(node: object) -> Iterator[str]:
    """Yield the name of every definition that a schema refers to."""
    if isinstance(node, Mapping):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.removeprefix(_DEFINITIONS)
        node = list(node.values())
    if isinstance(node, list):
        for below in node:
            yield from _references(below)


def _strict(node: Any) -> Any:  # noqa: ANN401  JSON is of any type
    """Rewrite one schema and those below it."""
    if not isinstance(node, Mapping):
        return node
    kept = {_RENAMED.get(key, key): _strict_value(key, value) for key, value in node.items() if key not in _DROPPED}
    if kept.get("type") == "object":
        kept |= {"required": list(kept.setdefault("properties", {})), "additionalProperties": False}
    if "$ref" in kept and len(kept) > 1:
        return {"anyOf": [{"$ref": kept.pop("$ref")}], **kept}
    return kept


def _strict_value(key: str, value: Any) -> Any:  # noqa: ANN401  JSON is of any type
    """Rewrite the schemas under one key; names of properties are no keywords."""
    if key in _MAPS_OF_SCHEMAS:
        return {name: _strict(below) for name, below in value.items()}
    if key in _LISTS_OF_SCHEMAS:
        return [_strict(below) for below in value]
    return _strict(value) if key == "items" else value


def _enforceable(node: Any) -> bool:  # noqa: ANN401  JSON is of any type
    """Tell whether strict mode can express a schema and those below it."""
    if not isinstance(node, Mapping) or _KINDS.isdisjoint(node) or not _INEXPRESSIBLE.isdisjoint(node):
        return False
    return node.get("additionalProperties", False) is False and all(map(_enforceable, _below(node)))


def _below(node: Mapping[str, Any]) -> list[Any]:
    """List the schemas directly below one."""
    maps = [below for key in _MAPS_OF_SCHEMAS for below in node.get(key, {}).values()]
    lists = [below for key in _LISTS_OF_SCHEMAS for below in node.get(key, [])]
    return maps + lists + ([node["items"]] if "items" in node else [])
