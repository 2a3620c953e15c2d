"""What was granted within the last window, as the sums that each way of counting it would see."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._grant import Grant

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


class _Counted:
    """One grant that counts."""

    __slots__ = ("at", "exact", "prompt", "unused")

    def __init__(self, at: float, prompt: int, exact: int) -> None:
        self.at = at
        self.prompt = prompt
        self.exact = exact
        self.unused = 0


class Sliding:
    """The last window, exactly.

    Args:
        window: Its length in seconds.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._grants: OrderedDict[str, _Counted] = OrderedDict()
        self._prompts = self._exact = self._unused = 0

    def add(self, grants: Iterable[Grant]) -> None:
        """Count grants, in the order of their times."""
        for grant in grants:
            exact = grant.order.max_tokens
            prompt = grant.order.tokens - exact
            self._grants[grant.id] = _Counted(grant.at, prompt, exact)
            self._prompts += prompt
            self._exact += exact

    def pop(self, grant_id: str) -> tuple[float, Sums] | None:
        """Count a grant no longer; return when it was given and what it counted, if it still did."""
        found = self._grants.pop(grant_id, None)
        if found is None:
            return None
        self._discount(found)
        return found.at, Sums(found.prompt, found.exact, found.unused)

    def leave_unused(self, answered: Iterable[tuple[str, int]]) -> Iterator[tuple[float, int]]:
        """Note the tokens that grants leave over, by their ids; go through those that still count, by their times."""
        for grant_id, tokens in answered:
            found = self._grants.get(grant_id)
            if found is not None:
                self._unused += tokens - found.unused
                found.unused = tokens
                yield found.at, tokens

    def view(self, now: float) -> View:
        """Return what counts by now."""
        while self._grants and next(iter(self._grants.values())).at <= now - self._window:
            self._discount(self._grants.popitem(last=False)[1])
        return View(Sums(self._prompts, self._exact, self._unused), 1.0)

    def _discount(self, grant: _Counted) -> None:
        """Take a grant out of the sums."""
        self._prompts -= grant.prompt
        self._exact -= grant.exact
        self._unused -= grant.unused


class Phases:
    """The window since the last turn of a minute, for minutes of every phase: a ring with a bucket for each phase.

    Args:
        window: Seconds from turn to turn.
    """

    def __init__(self, window: float) -> None:
        self._width = window / PHASES
        self._newest = -(10**18)
        self._prompts, self._exact, self._unused = self._rings = ([0] * PHASES, [0] * PHASES, [0] * PHASES)

    def add(self, grants: Iterable[Grant]) -> None:
        """Count grants, in the order of their times."""
        for grant in grants:
            number = math.floor(grant.at / self._width)
            if number != self._newest:
                self._turn(number)
            exact = grant.order.max_tokens
            self._prompts[number % PHASES] += grant.order.tokens - exact
            self._exact[number % PHASES] += exact

    def leave_unused(self, left: Iterable[tuple[float, int]]) -> None:
        """Note the tokens that grants leave over, by their times."""
        for at, tokens in left:
            number = math.floor(at / self._width)
            if number > self._newest - PHASES:
                self._unused[number % PHASES] += tokens

    def take_back(self, at: float, sums: Sums) -> None:
        """Count what was granted at some time no longer."""
        number = math.floor(at / self._width)
        if number > self._newest - PHASES:
            for ring, amount in zip(self._rings, sums, strict=True):
                ring[number % PHASES] -= amount

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
