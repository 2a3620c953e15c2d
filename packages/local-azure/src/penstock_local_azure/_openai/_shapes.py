"""What a JSON Schema allows, as shapes to draw values from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few given values."""

    values: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, both included; None: no bound. With a step, a multiple of it."""

    whole: bool
    low: float | None = None
    high: float | None = None
    step: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `shortest` to `longest` code points, in a format if one is named."""

    shortest: int = 0
    longest: int | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Array:
    """A list of `fewest` to `most` items of one shape."""

    item: "Shape"
    fewest: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """One named value of an object."""

    name: str
    shape: "Shape"
    required: bool


@dataclass(frozen=True, slots=True)
class Object:
    """An object with these properties and no others."""

    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """A value of any of these shapes."""

    options: "tuple[Shape, ...]"


@dataclass(frozen=True, slots=True)
class Reference:
    """The shape that a definition has."""

    to: str


Shape = Choice | Number | Text | Array | Object | Union | Reference


@dataclass(frozen=True, slots=True)
class Plan:
    """A schema's shape, with its definitions and how deep each must be nested at least.

    A definition that cannot end has infinite height; so has the plan whose root needs it.
    """

    root: Shape
    definitions: Mapping[str, Shape] = field(default_factory=dict)
    _heights: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        # A height is final at the latest after as many rounds as there are definitions below one another.
        for _ in self.definitions:
            self._heights.update({name: self.height(shape) for name, shape in self.definitions.items()})

    def height(self, shape: Shape) -> float:
        """Return the least nesting that a value of this shape needs."""
        match shape:
            case Reference(to):
                return 1 + self._heights.get(to, inf)
            case Union(options):
                return min(map(self.height, options))
            case Array(item, fewest):
                return 1 + (self.height(item) if fewest else 0)
            case Object(properties):
                return 1 + max((self.height(each.shape) for each in properties if each.required), default=0)
            case _:
                return 0
