"""What was observed lately, explained by two causes: how Azure counts our estimates, and others beside us.

Least squares with forgetting, in constant time and room. What the observations cannot tell apart is put down to our
estimates, unless that would take too much: hence a prior for each cause (ridge regression), which counts the more, the
noisier the observations are. All amounts are shares of the pool's limit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_FORGET = 0.985
"""What an observation still weighs after the next one: about 70 count at a time."""

_ENOUGH_FOR_TWO = 30.0
_NOISE = 0.005
"""The misfit that is expected at least."""

_BIAS = 0.15
_OTHERS = 0.03
"""How far the causes are expected to be from what is expected."""

_LEAST_OTHERS = 0.03
"""Less than this is put down to our estimates: a request that is counted a moment late looks like that."""


class Line(NamedTuple):
    """What was counted is ``bias`` times the prompts that were estimated, and ``others`` a window beside them.

    Attributes:
        bias: Tokens counted for an estimated token of a prompt.
        others: Share of the limit that is used by those who did not ask.
        misfit: Typical distance of an observation from the line.
        weight: Observations that it rests on, faded ones in part.
    """

    bias: float
    others: float
    misfit: float
    weight: float


class Fit:
    """The sums of one line.

    Args:
        expected: The bias to begin with, until observations say otherwise.
    """

    __slots__ = ("_expected", "_n", "_pp", "_pt", "_py", "_tt", "_ty", "_yy")

    def __init__(self, expected: float) -> None:
        self._expected = expected
        self._n = self._pp = self._pt = self._tt = self._py = self._ty = self._yy = 0.0

    def add(self, prompts: float, passed: float, counted: float) -> None:
        """Take an observation.

        Args:
            prompts: What was estimated of the prompts that count.
            passed: The part of the window that has passed, in which others may have come.
            counted: What was counted beyond the exact part.
        """
        keep = _FORGET
        self._n = self._n * keep + 1
        self._pp = self._pp * keep + prompts * prompts
        self._pt = self._pt * keep + prompts * passed
        self._tt = self._tt * keep + passed * passed
        self._py = self._py * keep + prompts * counted
        self._ty = self._ty * keep + passed * counted
        self._yy = self._yy * keep + counted * counted

    def line(self) -> Line:
        """Return the line that explains most: with others beside us only if they are worth a mention."""
        alone = self._bias_alone()
        line = Line(alone, 0.0, self._misfit(alone, 0.0), self._n)
        if self._n < _ENOUGH_FOR_TWO:
            return line
        bias, others = self._both(_NOISE)
        bias, others = self._both(max(self._misfit(bias, others), _NOISE))
        return line if others < _LEAST_OTHERS else Line(bias, others, self._misfit(bias, others), self._n)

    def _bias_alone(self) -> float:
        """Solve for the bias, as if nobody else were there."""
        hold = (_NOISE / _BIAS) ** 2
        return (self._py + hold * self._expected) / (self._pp + hold)

    def _both(self, noise: float) -> tuple[float, float]:
        """Solve for both causes; the noisier the observations, the more counts what is expected."""
        hold = (noise / _BIAS) ** 2
        pp, tt = self._pp + hold, self._tt + (noise / _OTHERS) ** 2
        py = self._py + hold * self._expected
        determinant = pp * tt - self._pt * self._pt
        bias = (py * tt - self._ty * self._pt) / determinant
        return bias, (self._ty * pp - py * self._pt) / determinant

    def _misfit(self, bias: float, others: float) -> float:
        """Return the root of the mean square distance from a line."""
        if not self._n:
            return math.inf
        square = (
            self._yy
            + bias * (bias * self._pp - 2 * self._py)
            + others * (others * self._tt - 2 * self._ty + 2 * bias * self._pt)
        )
        return math.sqrt(max(0.0, square / self._n))
