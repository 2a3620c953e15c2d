"""What was granted within the last window, as the sums that each way of counting it would see."""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import NamedTuple

PHASES = 120
"""How many phases of a fixed minute are told apart."""

_MOMENTS = 6000
"""How many moments of a sliding window are told apart; at Azure 10 ms each, in which requests arrive as they like."""


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


class _Moment:
    """What was granted within one moment."""

    __slots__ = ("exact", "number", "prompts", "unused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.prompts = self.exact = self.unused = 0


class Sliding:
    """The last window, to the moment.

    Args:
        window: Its length in seconds.
    """

    def __init__(self, window: float) -> None:
        self._per_second = _MOMENTS / window
        self._moments: deque[_Moment] = deque()
        self._by_number: dict[int, _Moment] = {}
        self._prompts = self._exact = self._unused = 0

    def add(self, at: float, prompt: int, exact: int) -> None:
        """Count what was granted, no earlier than what was added before."""
        number = int(at * self._per_second)
        moment = self._by_number.get(number)
        if moment is None:
            moment = self._by_number[number] = _Moment(number)
            self._moments.append(moment)
        moment.prompts += prompt
        moment.exact += exact
        self._prompts += prompt
        self._exact += exact

    def take_back(self, at: float, prompt: int, exact: int) -> None:
        """Count what was granted at a time no longer, if it still does."""
        if int(at * self._per_second) in self._by_number:
            self.add(at, -prompt, -exact)

    def leave_unused(self, at: float, tokens: int) -> None:
        """Note what is left over of what was granted at a time, if that still counts."""
        moment = self._by_number.get(int(at * self._per_second))
        if moment is not None:
            moment.unused += tokens
            self._unused += tokens

    def view(self, now: float) -> View:
        """Return what counts by now."""
        oldest = int(now * self._per_second) - _MOMENTS
        while self._moments and self._moments[0].number <= oldest:
            moment = self._moments.popleft()
            del self._by_number[moment.number]
            self._prompts -= moment.prompts
            self._exact -= moment.exact
            self._unused -= moment.unused
        return View(Sums(self._prompts, self._exact, self._unused), 1.0)


class Phases:
    """The window since the last turn of a minute, for minutes of every phase: a ring with a bucket for each phase.

    Args:
        window: Seconds from turn to turn.
    """

    def __init__(self, window: float) -> None:
        self._per_second = PHASES / window
        self._newest = -(10**18)
        self._prompts, self._exact, self._unused = self._rings = ([0] * PHASES, [0] * PHASES, [0] * PHASES)

    def add(self, at: float, prompt: int, exact: int) -> None:
        """Count what was granted, or take it back with negative amounts, if its bucket still counts."""
        number = int(at * self._per_second)
        if number > self._newest:
            self._turn(number)
        if number > self._newest - PHASES:
            self._prompts[number % PHASES] += prompt
            self._exact[number % PHASES] += exact

    def leave_unused(self, at: float, tokens: int) -> None:
        """Note what is left over of what was granted at a time, if that still counts."""
        number = int(at * self._per_second)
        if number > self._newest - PHASES:
            self._unused[number % PHASES] += tokens

    def views(self, now: float) -> list[View]:
        """Return what counts by now, by phase."""
        self._turn(int(now * self._per_second))
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
