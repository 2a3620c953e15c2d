"""What was granted within the last window, as the sums that each way of counting it would see."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._grant import Grant

PHASES = 120
"""How many phases of a fixed minute are told apart."""

_FINE = 50
"""Moments of a phase; at Azure each is 10 ms, in which requests arrive as they like."""

_MOMENTS = PHASES * _FINE


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


class Views:
    """The last window, moment by moment: a ring with a place for each.

    Args:
        window: Its length in seconds.
    """

    def __init__(self, window: float) -> None:
        self._per_second = _MOMENTS / window
        self._newest = -_MOMENTS
        self._prompts, self._exact, self._unused = self._rings = ([0] * _MOMENTS, [0] * _MOMENTS, [0] * _MOMENTS)

    def granted(self, grants: Iterable[Grant]) -> None:
        """Count what was granted, no earlier than what was counted before."""
        for grant in grants:
            _, tokens, exact, _, _ = grant.order
            number = int(grant.at * self._per_second)
            if number > self._newest:
                self._turn(number)
            self._prompts[number % _MOMENTS] += tokens - exact
            self._exact[number % _MOMENTS] += exact

    def take_back(self, grant: Grant) -> None:
        """Count a grant no longer, if its moment still counts."""
        number = int(grant.at * self._per_second)
        if number > self._newest - _MOMENTS:
            self._prompts[number % _MOMENTS] -= grant.order.tokens - grant.order.max_tokens
            self._exact[number % _MOMENTS] -= grant.order.max_tokens

    def leave_unused(self, grant: Grant, tokens: int) -> None:
        """Note what is left over of a grant, if its moment still counts."""
        number = int(grant.at * self._per_second)
        if number > self._newest - _MOMENTS:
            self._unused[number % _MOMENTS] += tokens

    def at(self, now: float) -> list[View]:
        """Return what counts by now: over a sliding window, then in fixed windows, by phase."""
        self._turn(int(now * self._per_second))
        phase, moment = divmod(self._newest % _MOMENTS, _FINE)
        columns = [_by_age(ring, phase, moment) for ring in self._rings]
        whole, *fixed = map(Sums._make, zip(*columns, strict=True))
        by_age = [View(sums, (age + 0.5) / PHASES) for age, sums in enumerate(fixed)]
        return [View(whole, 1.0), *(by_age[(phase - turn) % PHASES] for turn in range(PHASES))]

    def _turn(self, number: int) -> None:
        """Empty the places that time has reached anew."""
        for passed in range(max(self._newest + 1, number - _MOMENTS + 1), number + 1):
            for ring in self._rings:
                ring[passed % _MOMENTS] = 0
        self._newest = max(self._newest, number)


def _by_age(ring: list[int], phase: int, moment: int) -> list[int]:
    """Sum a ring up: all of it, then what came since the last turn of each phase, the latest first.

    The phase that is now holds what is left of the one a window ago, too: its moments that time has not reached anew.
    """
    sums = [sum(ring[begin : begin + _FINE]) for begin in range(0, _MOMENTS, _FINE)]
    whole = sum(sums)
    sums[phase] = sum(ring[phase * _FINE : phase * _FINE + moment + 1])
    return [whole, *accumulate(sums[phase::-1] + sums[:phase:-1])]
