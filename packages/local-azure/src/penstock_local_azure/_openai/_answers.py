"""Draws answers: the same prompt and seed give the same one, another prompt another one.

Now and then a value is drawn from the edge of what the schema allows, since that is where programs break.
"""

from fractions import Fraction
from math import ceil, floor
from random import Random
from typing import Final

from ._compact_json import compact_json
from ._shapes import Array, Choice, Json, Number, Object, Plan, Reference, Shape, Text, Union
from ._texts import FORMATS, edge_text, sentence, text

EDGE: Final = 1 / 12
"""How often a value is drawn from the edge of its range."""
_SPARE: Final = 6
"""How much deeper than it must be an answer may be nested."""
_MOST_ITEMS: Final = 3
"""How many more items than it must have a list may have."""
_SPAN: Final = 100
"""How far a number may be from its only bound, or from zero."""
_OMITTED: Final = 1 / 4
"""How often a property that need not be there is not."""


def answer(seed: int, prompt: str, plan: Plan | None) -> str:
    """Draw the answer to a prompt: JSON that fits the plan, or a sentence when there is none."""
    random = Random(f"{seed}\n{prompt}".encode("utf-8", "surrogatepass"))  # noqa: S311  # an answer, not a secret
    if plan is None:
        return " ".join(sentence(random) for _ in range(random.randint(1, 3)))
    return compact_json(_Drawing(plan, random).value())


class _Drawing:
    """One answer on its way from a plan to a value."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self._plan = plan
        self._random = random

    def value(self) -> Json:
        """Draw the whole value."""
        return self._draw(self._plan.root, self._plan.height(self._plan.root) + _SPARE)

    def _draw(self, shape: Shape, depth: float) -> Json:
        """Draw a value nested at most `depth` deep; the caller has made sure that this is deep enough."""
        value: Json
        match shape:
            case Choice(values):
                value = self._random.choice(values)
            case Number():
                value = self._number(shape)
            case Text():
                value = self._text(shape)
            case Array():
                value = self._array(shape, depth - 1)
            case Object():
                value = self._object(shape, depth - 1)
            case Union(options):
                fitting = [option for option in options if self._plan.height(option) <= depth]
                value = self._draw(self._random.choice(fitting), depth)
            case Reference(to):
                value = self._draw(self._plan.definitions[to], depth - 1)
        return value

    def _at_edge(self) -> bool:
        """Tell whether the next value comes from the edge of its range."""
        return self._random.random() < EDGE

    def _object(self, shape: Object, depth: float) -> dict[str, Json]:
        """Draw an object; of the properties that need not be there some are left out, and those nested too deep."""
        there = [
            each
            for each in shape.properties
            if each.required or (self._plan.height(each.shape) <= depth and self._random.random() >= _OMITTED)
        ]
        return {each.name: self._draw(each.shape, depth) for each in there}

    def _text(self, shape: Text) -> str:
        """Draw a string."""
        if shape.format is not None:
            return FORMATS[shape.format].draw(self._random)
        return (edge_text if self._at_edge() else text)(self._random, shape.shortest, shape.longest)

    def _array(self, shape: Array, depth: float) -> list[Json]:
        """Draw a list; items that would be nested too deep are left out."""
        most = shape.fewest + _MOST_ITEMS if shape.most is None else min(shape.most, shape.fewest + _MOST_ITEMS)
        if self._plan.height(shape.item) > depth:
            most = shape.fewest
        count = (
            self._random.choice((shape.fewest, most)) if self._at_edge() else self._random.randint(shape.fewest, most)
        )
        return [self._draw(shape.item, depth) for _ in range(count)]

    def _number(self, shape: Number) -> float:
        """Draw a number."""
        low, high = _bounds(shape)
        if shape.step is not None:
            return self._multiple(shape, low, high)
        if self._at_edge():
            return self._random.choice((low, high))
        if shape.whole:
            return self._random.randint(int(low), int(high))
        share = self._random.random()
        drawn = low * (1 - share) + high * share
        rounded = round(drawn, 2)
        return rounded if low <= rounded <= high else min(max(drawn, low), high)

    def _multiple(self, shape: Number, low: float, high: float) -> float:
        """Draw a multiple of a number's step; as a fraction, so that 0.1 means a tenth."""
        step = Fraction(str(shape.step))
        least, most = ceil(Fraction(str(low)) / step), floor(Fraction(str(high)) / step)
        factor = self._random.choice((least, most)) if self._at_edge() else self._random.randint(least, most)
        return int(factor * step) if shape.whole else float(factor * step)


def _bounds(shape: Number) -> tuple[float, float]:
    """Return both bounds of a number; where the schema has none, one that leaves room for a multiple of the step."""
    span = max(_SPAN, shape.step or 0)
    low = shape.low if shape.low is not None else (0 if shape.high is None else shape.high - span)
    high = shape.high if shape.high is not None else low + span
    return low, high
