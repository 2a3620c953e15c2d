"""What was granted within the last window, in buckets of time, as the sums that any way of counting would see."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import NamedTuple

PHASES = 60
"""How many phases of a fixed minute are told apart."""

_BUCKETS = 240
_STRIDE = _BUCKETS // PHASES


class Sums(NamedTuple):
    """What was granted in some interval that ends now, in tokens.

    Attributes:
        prompts: Prompts, as they were estimated.
        exact: Completions, as they were allowed.
        unused: The part of ``exact`` that is known to be left over.
    """

    prompts: float
    exact: float
    unused: float


class Buckets:
    """A ring of buckets over one window.

    Args:
        window: Its length in seconds.
    """

    def __init__(self, window: float) -> None:
        self._width = window / _BUCKETS
        self._newest = -(10**18)
        self._prompts = [0] * _BUCKETS
        self._exact = [0] * _BUCKETS
        self._unused = [0] * _BUCKETS

    def add(self, at: float, prompt: int, exact: int) -> None:
        """Count a grant; take one back with negative amounts."""
        place = self._place(at)
        if place is not None:
            self._prompts[place] += prompt
            self._exact[place] += exact

    def leave_unused(self, at: float, tokens: int) -> None:
        """Note what a grant given at some time leaves over."""
        place = self._place(at)
        if place is not None:
            self._unused[place] += tokens

    def views(self, now: float) -> list[Sums]:
        """Return what each way of counting has counted by now: a sliding window, then a fixed one of every phase."""
        self._turn(math.floor(now / self._width))
        newest = self._newest % _BUCKETS
        sums = [list(accumulate(_latest_first(amounts, newest))) for amounts in self._amounts()]
        lengths = [_BUCKETS, *((self._newest - _STRIDE * phase) % _BUCKETS + 1 for phase in range(PHASES))]
        return [Sums(*(amounts[length - 1] for amounts in sums)) for length in lengths]

    def _amounts(self) -> tuple[list[int], list[int], list[int]]:
        """Return the three rings."""
        return self._prompts, self._exact, self._unused

    def _place(self, at: float) -> int | None:
        """Return the bucket of a time, or None if it has left the window."""
        number = math.floor(at / self._width)
        self._turn(number)
        return number % _BUCKETS if number > self._newest - _BUCKETS else None

    def _turn(self, number: int) -> None:
        """Empty the buckets that time has reached anew."""
        for passed in range(max(self._newest + 1, number - _BUCKETS + 1), number + 1):
            for amounts in self._amounts():
                amounts[passed % _BUCKETS] = 0
        self._newest = max(self._newest, number)


def _latest_first(amounts: list[int], newest: int) -> list[int]:
    """Unroll a ring."""
    return amounts[newest::-1] + amounts[:newest:-1]
