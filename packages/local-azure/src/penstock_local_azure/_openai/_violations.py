"""Makes JSON wrong: one value that does not fit its schema, or text that no parser takes."""

import json
from collections.abc import Mapping
from types import UnionType
from typing import Final

from ._compact_json import compact_json
from ._shapes import Array, Choice, Json, Number, Object, Plan, Reference, Shape, Text, Union

_WRONG: Final[tuple[Json, ...]] = ("of another shape", [], {}, None, 0.5, True)
"""Values of every kind. The first that its shape does not allow is taken: clients turn least of all into a text."""
_KINDS: Final[Mapping[type[Shape], type | UnionType]] = {
    Array: list,
    Number: int | float,
    Object: dict,
    Text: str,
}


def violate(text: str, plan: Plan) -> str:
    """Return a JSON text in which one value does not fit: that of a property where there is one, else the whole.

    Where a value of any kind fits, it is no JSON at all.
    """
    value, root = json.loads(text), plan.root
    while isinstance(root, Reference):
        root = plan.definitions[root.to]
    if isinstance(value, dict) and isinstance(root, Object):
        for each in root.properties:
            for wrong in _WRONG:
                if each.name in value and not _allows(plan, each.shape, wrong):
                    return compact_json({**value, each.name: wrong})
    wrongs = (compact_json(wrong) for wrong in _WRONG if not _allows(plan, plan.root, wrong))
    return next(wrongs, malform(text))


def malform(text: str) -> str:
    """Return a JSON text whose last bracket is missing; one without brackets gets one too many."""
    return text[:-1] if text.endswith(("}", "]")) else f"{text}}}"


def _allows(plan: Plan, shape: Shape, value: Json, within: frozenset[str] = frozenset()) -> bool:
    """Tell whether a value is of a kind that a shape allows; `within` names the definitions being looked at."""
    match shape:
        case Reference(to):
            return to not in within and _allows(plan, plan.definitions[to], value, within | {to})
        case Union(options):
            return any(_allows(plan, option, value, within) for option in options)
        case Choice(values):
            return value in values
        case _:
            return isinstance(value, _KINDS[type(shape)])
