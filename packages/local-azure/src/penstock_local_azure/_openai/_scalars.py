"""Reads what a JSON Schema says about values without parts: given ones, numbers, strings; and about sizes."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor, inf, nextafter
from sys import float_info
from typing import Any, Final, TypeAlias

from ._schema_errors import invalid, not_drawn
from ._shapes import Choice, Json, Number, Text
from ._texts import FORMATS

Schema: TypeAlias = Mapping[str, Any]

NUMBER_KEYWORDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _is_number(value: Json) -> bool:
    """Tell whether a value is a number; in Python a boolean is one, in JSON it is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: Final[Mapping[str, Callable[[Json], bool]]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value % 1 == 0,  # type: ignore[operator]  # it is a number
    "null": lambda value: value is None,
    "number": _is_number,
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}
"""JSON's types, and how to tell that a value is of one."""


def read_types(schema: Schema, path: str) -> list[str]:
    """Read the types a schema names; it may name none, one or several."""
    named = schema.get("type", [])
    types = named if isinstance(named, list) else [named]
    if not all(isinstance(kind, str) and kind in TYPES for kind in types):
        raise invalid("'type' must be a JSON type or a list of them", path)
    return types


def read_choice(schema: Schema, path: str) -> Choice:
    """Read given values; those of another type than the schema's do not count."""
    values = schema.get("enum", [schema.get("const")])
    if not isinstance(values, list):
        raise invalid("'enum' must be a list", path)
    if "const" in schema:
        values = [value for value in values if value == schema["const"]]
    if types := read_types(schema, path):
        values = [value for value in values if any(TYPES[kind](value) for kind in types)]
    if not values:
        raise invalid("no value fits", path)
    return Choice(tuple(values))


def read_number(schema: Schema, path: str, *, whole: bool) -> Number:
    """Read the bounds of a number."""
    least, most, above, below, step = (_finite(schema, keyword, path) for keyword in NUMBER_KEYWORDS)
    if step is not None and (step <= 0 or (whole and step != floor(step))):
        raise not_drawn("this value of 'multipleOf'", path)
    lows = [bound for bound in (least, _beyond(above, inf, whole=whole)) if bound is not None]
    highs = [bound for bound in (most, _beyond(below, -inf, whole=whole)) if bound is not None]
    low = max((ceil(bound) if whole else bound for bound in lows), default=None)
    high = min((floor(bound) if whole else bound for bound in highs), default=None)
    if low is not None and high is not None and _is_empty(low, high, step):
        raise invalid("no number fits", path)
    return Number(whole, low, high, step)


def read_text(schema: Schema, path: str) -> Text:
    """Read the bounds of a string."""
    shortest, longest = read_span(schema, "minLength", "maxLength", path)
    name = schema.get("format")
    if name is None:
        return Text(shortest, longest)
    if name not in FORMATS:
        raise not_drawn(f"the format {name!r}", path)
    least, most = FORMATS[name].lengths
    if shortest > least or (longest is not None and longest < most):
        raise not_drawn(f"these lengths together with the format {name!r}", path)
    return Text(format=name)


def read_span(schema: Schema, least: str, most: str, path: str) -> tuple[int, int | None]:
    """Read a smallest and a greatest size, by the names of their keywords."""
    low, high = (_finite(schema, keyword, path) for keyword in (least, most))
    if any(bound is not None and (bound < 0 or bound != floor(bound)) for bound in (low, high)):
        raise invalid(f"{least!r} and {most!r} must be whole numbers from 0", path)
    if high is not None and high < (low or 0):
        raise invalid(f"{most!r} is below {least!r}", path)
    return int(low or 0), None if high is None else int(high)


def _finite(schema: Schema, keyword: str, path: str) -> float | None:
    """Return a keyword's number, if it is there."""
    value = schema.get(keyword)
    if value is None:
        return None
    if not _is_number(value) or abs(value) > float_info.max:
        raise invalid(f"{keyword!r} must be a number", path)
    return value  # type: ignore[no-any-return]  # it is a number


def _beyond(bound: float | None, towards: float, *, whole: bool) -> float | None:
    """Return the first number beyond an exclusive bound; integers may be too great for floating point."""
    if bound is None:
        return None
    if not whole:
        return nextafter(bound, towards)
    return floor(bound) + 1 if towards > 0 else ceil(bound) - 1


def _is_empty(low: float, high: float, step: float | None) -> bool:
    """Tell whether no number, or no multiple of the step, lies between two bounds."""
    if step is None:
        return low > high
    each = Fraction(str(step))
    return floor(Fraction(str(high)) / each) < ceil(Fraction(str(low)) / each)
