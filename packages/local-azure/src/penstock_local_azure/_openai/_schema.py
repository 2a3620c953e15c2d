"""Reads a JSON Schema (https://json-schema.org/draft/2020-12, as far as structured outputs use it) into shapes.

A keyword is understood, known to change nothing, or refused by name: never overlooked. With `strict`, objects must be
closed and complete, as Microsoft's page "How to use structured outputs" asks.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isinf
from typing import Any, Final

from ._api_error import NOT_IMPLEMENTED, ApiError
from ._scalars import NUMBER_KEYWORDS, Schema, read_choice, read_number, read_span, read_text, read_types
from ._schema_errors import invalid, not_drawn
from ._shapes import Array, Choice, Object, Plan, Property, Reference, Shape, Union

_ANNOTATIONS: Final = frozenset(
    [
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "discriminator",
        "examples",
        "nullable",
        "readOnly",
        "title",
        "writeOnly",
    ]
)
_DEEPEST: Final = 100
"""Steps from the root of a schema to its innermost one; Azure's own bound is lower still."""
_KEYWORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "array": ("items", "minItems", "maxItems"),
    "boolean": (),
    "integer": NUMBER_KEYWORDS,
    "null": (),
    "number": NUMBER_KEYWORDS,
    "object": ("properties", "required", "additionalProperties"),
    "string": ("minLength", "maxLength", "format"),
}
_STRICTLY_FORBIDDEN: Final = ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")


def read_schema(compact: str, *, strict: bool, param: str = "response_format") -> Plan:
    """Read a schema, given as JSON text.

    Args:
        compact: the schema.
        strict: whether objects must be closed and complete.
        param: which part of the request it is, for errors.

    Raises:
        ApiError: the schema is wrong (400), or asks what this stand-in does not draw (501); it names keyword and path.
    """
    try:
        return _read_once(compact, strict)
    except ApiError as error:
        error.param = param
        raise


@lru_cache(maxsize=256)
def _read_once(compact: str, strict: bool) -> Plan:  # noqa: FBT001  # a cache keys on what is handed over by position
    """Read a schema; workers send the same few again and again."""
    return _Reader(json.loads(compact), strict=strict).plan()


class _Reader:
    """Reads one schema."""

    def __init__(self, schema: Schema, *, strict: bool) -> None:
        self._schema = schema
        self._strict = strict
        self._definitions: dict[str, Shape | None] = {}

    def plan(self) -> Plan:
        """Read the schema with every definition that its root needs."""
        if self._strict and self._schema.get("type") != "object":
            raise invalid("the root's type must be 'object'", "")
        root = self._read(self._schema, "")
        plan = Plan(root, {name: shape for name, shape in self._definitions.items() if shape is not None})
        if isinf(plan.height(root)):
            raise invalid("no finite value fits", "")
        return plan

    def _read(self, schema: Any, path: str) -> Shape:  # noqa: ANN401  # any JSON may stand where a schema should
        """Read the schema at a path."""
        if not isinstance(schema, Mapping):
            raise invalid("a schema must be an object", path)
        if path.count("/") > _DEEPEST:
            raise invalid("the schema is nested too deep", "")
        if self._strict:
            for keyword in _STRICTLY_FORBIDDEN:
                if keyword in schema:
                    raise invalid(f"{keyword!r} is not permitted", path)
        if "$ref" in schema:
            self._only(schema, ("$ref",), path)
            return self._reference(schema["$ref"], path)
        if "anyOf" in schema:
            self._only(schema, ("anyOf",), path)
            return self._union(schema["anyOf"], f"{path}/anyOf")
        if "allOf" in schema and isinstance(schema["allOf"], list) and len(schema["allOf"]) == 1:
            self._only(schema, ("allOf",), path)
            return self._read(schema["allOf"][0], f"{path}/allOf/0")
        if "const" in schema or "enum" in schema:
            self._only(schema, ("const", "enum", "type"), path)
            return read_choice(schema, path)
        return self._typed(schema, path)

    def _typed(self, schema: Schema, path: str) -> Shape:
        """Read a schema that says which type, or types, a value has."""
        types = read_types(schema, path)
        if not types and self._strict:
            raise invalid("'type' is missing", path)
        # Without a type anything fits, and text is something.
        types = types or ["string"]
        self._only(schema, ("type", *(keyword for kind in types for keyword in _KEYWORDS[kind])), path)
        shapes = tuple(self._of_type(kind, schema, path) for kind in types)
        return shapes[0] if len(shapes) == 1 else Union(shapes)

    def _of_type(self, kind: str, schema: Schema, path: str) -> Shape:
        """Read what a schema says about values of one type."""
        match kind:
            case "null":
                return Choice((None,))
            case "boolean":
                return Choice((False, True))
            case "string":
                return read_text(schema, path)
            case "array":
                return self._array(schema, path)
            case "object":
                return self._object(schema, path)
            case _:
                return read_number(schema, path, whole=kind == "integer")

    def _reference(self, to: object, path: str) -> Reference:
        """Read the definition that a reference points to, once."""
        if not isinstance(to, str) or not to.startswith("#"):
            raise not_drawn("a reference that leaves the schema", path)
        if to not in self._definitions:
            self._definitions[to] = None
            try:
                self._definitions[to] = self._read(self._resolve(to, path), to.removeprefix("#"))
            except ApiError:
                del self._definitions[to]
                raise
        return Reference(to)

    def _resolve(self, to: str, path: str) -> Any:  # noqa: ANN401  # any JSON
        """Follow a JSON pointer (RFC 6901) through the schema."""
        node: Any = self._schema
        for step in to.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or name not in node:
                raise invalid("a reference points to nothing", path)
            node = node[name]
        return node

    def _union(self, options: object, path: str) -> Shape:
        """Read alternatives; those that this stand-in does not draw are never taken, if another one can be."""
        if not isinstance(options, list) or not options:
            raise invalid("there must be a list with at least one schema", path)
        drawable: list[Shape] = []
        refusals: list[ApiError] = []
        for index, option in enumerate(options):
            try:
                drawable.append(self._read(option, f"{path}/{index}"))
            except ApiError as error:
                if error.status != NOT_IMPLEMENTED:
                    raise
                refusals.append(error)
        if not drawable:
            raise refusals[0]
        return Union(tuple(drawable))

    def _array(self, schema: Schema, path: str) -> Array:
        """Read the bounds and the items of a list."""
        fewest, most = read_span(schema, "minItems", "maxItems", path)
        if self._strict and "items" not in schema:
            raise invalid("'items' is missing", path)
        return Array(self._read(schema.get("items", {}), f"{path}/items"), fewest, most)

    def _object(self, schema: Schema, path: str) -> Object:
        """Read the properties of an object."""
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise invalid("'properties' must be an object and 'required' a list", path)
        if any(name not in properties for name in map(str, required)):
            raise invalid("'required' names what 'properties' lacks", path)
        if self._strict and schema.get("additionalProperties") is not False:
            raise invalid("'additionalProperties' must be there and false", path)
        if self._strict and any(name not in required for name in properties):
            raise invalid("'required' must name every property", path)
        return Object(
            tuple(
                Property(name, self._read(value, f"{path}/properties/{name}"), name in required)
                for name, value in properties.items()
            )
        )

    def _only(self, schema: Schema, understood: Iterable[str], path: str) -> None:
        """Refuse keywords that would go unheeded."""
        for keyword in schema.keys() - _ANNOTATIONS - set(understood):
            raise not_drawn(f"the keyword {keyword!r}", path)
