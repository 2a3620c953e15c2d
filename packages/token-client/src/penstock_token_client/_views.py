"""What was granted within the last window, as the sums that each way of counting it would see."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._grant import Grant
    from ._usage import Answer
    from ._whereabouts import Correction

_T = TypeVar("_T")

PHASES = 120
"""How many phases of a fixed minute are told apart."""

_FINE = 50
"""Moments of a phase; at Azure each is 10 ms, in which requests arrive as they like."""

_MOMENTS = PHASES * _FINE

_PASSED = [(age + 0.5) / PHASES for age in range(PHASES)]
"""The part of a fixed window that has passed, by the phases since its turn."""


class View(NamedTuple):
    """What every way of counting has counted by some time: over a sliding window, then in fixed windows by phase.

    Attributes:
        prompts: Tokens of prompts, as they were estimated.
        exact: Tokens of completions, as they were allowed.
        unused: The part of ``exact`` that is known to be left over.
        passed: The part of the window that has passed.
    """

    prompts: list[int]
    exact: list[int]
    unused: list[int]
    passed: list[float]


class Views:
    """The last window, moment by moment: a ring with a place for each.

    Args:
        window: Its length in seconds.
    """

    def __init__(self, window: float) -> None:
        self._per_second = _MOMENTS / window
        self._newest = -(10**18)
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

    def take_back(self, grant: Grant, prompts: int, exact: int) -> None:
        """Count so much of a grant no longer, if its moment still counts."""
        number = int(grant.at * self._per_second)
        if number > self._newest - _MOMENTS:
            self._prompts[number % _MOMENTS] -= prompts
            self._exact[number % _MOMENTS] -= exact

    def answered(self, answers: Iterable[Answer]) -> None:
        """Note what is left over of what was granted, as far as its moment still counts."""
        for grant, usage, _ in answers:
            number = int(grant.at * self._per_second)
            unused = grant.order.max_tokens - usage.completion_tokens
            if unused > 0 and number > self._newest - _MOMENTS:
                self._unused[number % _MOMENTS] += unused

    def at(self, now: float) -> View:
        """Return what counts by now."""
        self._turn(int(now * self._per_second))
        phase, moment = divmod(self._newest % _MOMENTS, _FINE)
        prompts, exact, unused = (_by_phase(ring, phase, moment) for ring in self._rings)
        return View(prompts, exact, unused, [1.0, *_backwards(_PASSED, phase)])

    def without(self, view: View, at: float, corrections: Iterable[Correction]) -> View:
        """Return what counted by ``at``, which is ``view``, without what should not have been counted."""
        newest = int(at * self._per_second)
        wrong = [0] * _MOMENTS, [0] * _MOMENTS
        for correction in corrections:
            number = int(correction.at * self._per_second)
            if number > newest - _MOMENTS:
                wrong[0][number % _MOMENTS] += correction.prompts
                wrong[1][number % _MOMENTS] += correction.exact
        phase, moment = divmod(newest % _MOMENTS, _FINE)
        prompts, exact = (_by_phase(ring, phase, moment) for ring in wrong)
        return view._replace(prompts=_less(view.prompts, prompts), exact=_less(view.exact, exact))

    def _turn(self, number: int) -> None:
        """Empty the places that time has reached anew."""
        if number >= self._newest + _MOMENTS:
            self._newest = number
            for ring in self._rings:
                ring[:] = [0] * _MOMENTS
        for passed in range(self._newest + 1, number + 1):
            for ring in self._rings:
                ring[passed % _MOMENTS] = 0
        self._newest = max(self._newest, number)


def _by_phase(ring: list[int], phase: int, moment: int) -> list[int]:
    """Sum a ring up: all of it, then what came since the last turn of each phase.

    The phase that is now holds what is left of the one a window ago, too: its moments that time has not reached anew.
    """
    sums = [sum(ring[begin : begin + _FINE]) for begin in range(0, _MOMENTS, _FINE)]
    whole = sum(sums)
    sums[phase] = sum(ring[phase * _FINE : phase * _FINE + moment + 1])
    by_age = list(accumulate(_backwards(sums, phase)))
    return [whole, *_backwards(by_age, phase)]


def _less(sums: list[int], wrong: list[int]) -> list[int]:
    """Return sums without what is wrong in them."""
    return [counted - each for counted, each in zip(sums, wrong, strict=True)]


def _backwards(ring: list[_T], start: int) -> list[_T]:
    """Go once around a ring, backwards: from phases to ages, or from ages to phases."""
    return ring[start::-1] + ring[:start:-1]
