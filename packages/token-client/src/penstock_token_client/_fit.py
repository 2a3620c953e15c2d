"""A line through what was observed lately: how many tokens Azure counts for a token that was estimated.

Least squares with forgetting, in constant time and room. All amounts are shares of the pool's limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_FORGET = 0.985
"""What an observation still weighs after the next one: about 70 count at a time."""

_NOISE = 0.005
_DOUBT = 0.25
_ENOUGH_FOR_TWO = 20.0
_LEAST_OTHERS = 0.01


@dataclass(frozen=True, slots=True)
class Line:
    """What was counted, as ``slope`` times the prompts that were estimated, and ``others`` beside them.

    Attributes:
        slope: Tokens counted for an estimated token of a prompt.
        others: Share of the limit that is used by those who did not ask.
        misfit: Typical distance of an observation from the line.
        weight: Observations that it rests on, faded ones in part.
    """

    slope: float
    others: float
    misfit: float
    weight: float


class Fit:
    """The sums of one line.

    Args:
        expected: The slope to begin with, until observations say otherwise.
    """

    __slots__ = ("_expected", "_n", "_p", "_pp", "_py", "_y", "_yy")

    def __init__(self, expected: float) -> None:
        self._expected = expected
        self._n = self._p = self._pp = self._y = self._py = self._yy = 0.0

    def add(self, prompts: float, counted: float) -> None:
        """Take an observation: the prompts that were estimated, and what was counted beyond the exact part."""
        self._n = self._n * _FORGET + 1
        self._p = self._p * _FORGET + prompts
        self._pp = self._pp * _FORGET + prompts * prompts
        self._y = self._y * _FORGET + counted
        self._py = self._py * _FORGET + prompts * counted
        self._yy = self._yy * _FORGET + counted * counted

    def line(self) -> Line:
        """Return the line: through nothing if that explains what was seen, and otherwise with others beside it."""
        plain = self._through_nothing()
        if self._n < _ENOUGH_FOR_TWO:
            return plain
        raised = self._with_others()
        if raised is None or raised.others < _LEAST_OTHERS or plain.misfit < 2 * raised.misfit + _NOISE:
            return plain
        return raised

    def _through_nothing(self) -> Line:
        """Fit the slope alone, held near what is expected as long as little was seen."""
        hold = (_NOISE / _DOUBT) ** 2
        slope = (self._py + hold * self._expected) / (self._pp + hold)
        return Line(slope, 0.0, self._misfit(slope, 0.0), self._n)

    def _with_others(self) -> Line | None:
        """Fit slope and intercept, where the prompts varied enough to tell them apart."""
        spread = self._pp - self._p * self._p / self._n
        if spread <= self._n * _NOISE**2:
            return None
        slope = (self._py - self._p * self._y / self._n) / spread
        others = (self._y - slope * self._p) / self._n
        return Line(slope, others, self._misfit(slope, others), self._n)

    def _misfit(self, slope: float, others: float) -> float:
        """Return the root of the mean square distance from a line."""
        if not self._n:
            return math.inf
        square = (
            self._yy
            + slope * slope * self._pp
            + others * others * self._n
            - 2 * slope * self._py
            - 2 * others * self._y
            + 2 * slope * others * self._p
        )
        return math.sqrt(max(0.0, square / self._n))
