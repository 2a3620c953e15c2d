"""Token counts of JSON Schemas."""

from collections.abc import Mapping
from typing import Any

import tiktoken

from ._expansion import Expansion
from ._texts import compact, count_text


def count_schema(encoding: tiktoken.Encoding, schema: Mapping[str, Any]) -> int:
    """Count a JSON Schema as compact JSON, every reference replaced by the definition it points to.

    No rule is published for schemas. The model sees definitions expanded in a notation terser than JSON, so this
    is an upper bound. A definition inside itself is expanded once. Definitions nobody refers to cost nothing.
    """
    return Expansion(schema, lambda node: count_text(encoding, compact(_without_references(node)))).total()


def _without_references(node: object) -> object:
    """Leave out every reference, for what it leads to is counted in its place."""
    if isinstance(node, Mapping):
        kept = {key: _without_references(value) for key, value in node.items() if not _is_reference(key, value)}
        return kept if kept or not node else 0
    return [_without_references(item) for item in node] if isinstance(node, list) else node


def _is_reference(key: str, value: object) -> bool:
    """Tell a reference from a property that happens to have its name."""
    return key == "$ref" and isinstance(value, str)
