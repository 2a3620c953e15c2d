"""What was granted within the last window, as the sums that each way of counting it would see."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import accumulate
from typing import NamedTuple

PHASES = 120
"""How many phases of a fixed minute are told apart."""


class Sums(NamedTuple):
    """What was granted in some interval that ends now, in tokens.

    Attributes:
        prompts: Prompts, as they were estimated.
        exact: Completions, as they were allowed.
        unused: The part of ``exact`` that is known to be left over.
    """

    prompts: int
    exact: int
    unused: int


class View(NamedTuple):
    """What one way of counting has counted by some time.

    Attributes:
        sums: What it counted.
        passed: The part of its window that has passed.
    """

    sums: Sums
    passed: float


class Sliding:
    """The last window, exactly.

    Args:
        window: Its length in seconds.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._grants: OrderedDict[str, tuple[float, Sums]] = OrderedDict()
        self._prompts = self._exact = self._unused = 0

    def add(self, grant_id: str, at: float, sums: Sums) -> None:
        """Count a grant."""
        self._grants[grant_id] = at, sums
        self._change(sums, 1)

    def pop(self, grant_id: str) -> tuple[float, Sums] | None:
        """Count a grant no longer; return when it was given and what it counted, if it still did."""
        found = self._grants.pop(grant_id, None)
        if found is not None:
            self._change(found[1], -1)
        return found

    def leave_unused(self, grant_id: str, tokens: int) -> float | None:
        """Note what a grant leaves over; return when it was given, if it still counts."""
        found = self._grants.get(grant_id)
        if found is None:
            return None
        at, sums = found
        self._grants[grant_id] = at, sums._replace(unused=tokens)
        self._unused += tokens - sums.unused
        return at

    def view(self, now: float) -> View:
        """Return what counts by now."""
        while self._grants and next(iter(self._grants.values()))[0] <= now - self._window:
            self._change(self._grants.popitem(last=False)[1][1], -1)
        return View(Sums(self._prompts, self._exact, self._unused), 1.0)

    def _change(self, sums: Sums, sign: int) -> None:
        """Add or take away."""
        self._prompts += sign * sums.prompts
        self._exact += sign * sums.exact
        self._unused += sign * sums.unused


class Phases:
    """The window since the last turn of a minute, for minutes of every phase: a ring with a bucket for each phase.

    Args:
        window: Seconds from turn to turn.
    """

    def __init__(self, window: float) -> None:
        self._width = window / PHASES
        self._newest = -(10**18)
        self._rings = ([0] * PHASES, [0] * PHASES, [0] * PHASES)

    def add(self, at: float, sums: Sums, sign: int = 1) -> None:
        """Count what was granted at some time, or take it back."""
        number = math.floor(at / self._width)
        self._turn(number)
        if number > self._newest - PHASES:
            for ring, amount in zip(self._rings, sums, strict=True):
                ring[number % PHASES] += sign * amount

    def views(self, now: float) -> list[View]:
        """Return what counts by now, by phase."""
        self._turn(math.floor(now / self._width))
        newest = self._newest % PHASES
        unrolled = (ring[newest::-1] + ring[:newest:-1] for ring in self._rings)
        sums = map(Sums._make, zip(*map(accumulate, unrolled), strict=True))
        by_age = [View(counted, (age + 0.5) / PHASES) for age, counted in enumerate(sums)]
        return [by_age[(newest - phase) % PHASES] for phase in range(PHASES)]

    def _turn(self, number: int) -> None:
        """Empty the buckets that time has reached anew."""
        for passed in range(max(self._newest + 1, number - PHASES + 1), number + 1):
            for ring in self._rings:
                ring[passed % PHASES] = 0
        self._newest = max(self._newest, number)
