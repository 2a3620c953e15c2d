"""Schemas with their references followed: each definition is counted once and added as often as it is referred to.

Expanding the text itself would grow exponentially with the depth of definitions that use others twice.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_DEFINITIONS: Final = ("$defs", "definitions")


class Expansion:
    """Counts one schema and whatever it refers to.

    Args:
        schema: The whole schema, in which references are looked up.
        count: Counts one node's own text, without what its references lead to.
    """

    def __init__(self, schema: Mapping[str, Any], count: Callable[[Any], int]) -> None:
        self._schema = schema
        self._count_own = count
        self._counted: dict[str, int] = {}

    def total(self) -> int:
        """Count the schema and everything it refers to."""
        return self._count_own(_body(self._schema)) + self.behind()

    def behind(self) -> int:
        """Count only what the schema refers to."""
        return self._behind(_body(self._schema))

    def _behind(self, node: object) -> int:
        """Count what a subtree refers to."""
        return sum(map(self._definition, _references(node)))

    def _definition(self, reference: str) -> int:
        """Count a definition, remembering it; inside its own expansion it adds nothing."""
        if reference not in self._counted:
            self._counted[reference] = 0
            definition = _resolved(self._schema, reference)
            self._counted[reference] = self._count_own(definition) + self._behind(definition)
        return self._counted[reference]


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the definitions: those that nobody refers to cost nothing."""
    return {key: value for key, value in schema.items() if key not in _DEFINITIONS}


def _references(node: object) -> Iterator[str]:
    """Yield every ``$ref`` below a node, in order."""
    if isinstance(node, Mapping):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        node = list(node.values())
    if isinstance(node, list):
        for below in node:
            yield from _references(below)


def _resolved(schema: Mapping[str, Any], reference: str) -> object:
    """Follow a JSON pointer (RFC 6901); what it leads to nowhere, or back to the whole, is an empty schema."""
    node: object = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) and node is not schema else {}
