"""How Azure counts, learned from what its headers say is left: the bias of our estimates, and who else is there.

``x-ratelimit-remaining-tokens`` tells what the endpoint has counted by the time a request arrives. What it should have
counted follows from the ledger, for each way in which it may count: over a sliding window or in fixed minutes of some
phase, with or without giving back what a request left unused. Every way is fitted to what was seen, and the one that
fits best is believed, once it fits well. A request is never judged by this; only the terms of later ones change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._fit import Fit, Line
from ._views import PHASES, View, Views

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._grant import Grant
    from ._usage import Answer, Usage

_EAGER = 20
_SELDOM = 5
"""The lines are compared after each of the first observations, and after every so many later: that takes a while."""

_ENOUGH = 8.0
_GOOD = 0.06
"""The misfit, as a share of the limit, above which nothing is believed."""

_LEAST_BIAS = 0.5
_MOST_BIAS = 2.0
_BURST = 60
"""Probes in a window, and how many of them may be taken in one go."""

_MOST_AWAITED = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """How well the two ways of settling explain what was seen.

    Attributes:
        observations: Headers that it rests on, faded ones in part.
        judged: Misfit if what a request left unused stays counted, as a share of the limit.
        actual: Misfit if it is given back.
    """

    observations: float
    judged: float
    actual: float


class Calibration:
    """Learns from grants and reports.

    Args:
        window: Seconds over which Azure counts.
        tpm: The pool's limit in tokens per window.
        bias: What was learned before.
        unaccounted: Likewise.

    Attributes:
        bias: Tokens of a prompt that Azure counts for one that was estimated; 1.0 until more is known.
        unaccounted: Tokens per window used by those who did not ask.
        next_probe: The time from which on the next grant is worth a `probe`.
    """

    def __init__(self, window: float, tpm: int, *, bias: float = 1.0, unaccounted: int = 0) -> None:
        self.bias = bias
        self.unaccounted = unaccounted
        self.next_probe = -math.inf
        self._tpm = tpm
        self._views = Views(window)
        self._awaited: dict[str, View] = {}
        self._gap = window / _BURST
        self._window = window
        self._observed = 0
        self._evidence: Evidence | None = None
        self._judged = [Fit(bias) for _ in range(PHASES + 1)]
        self._actual = [Fit(bias) for _ in range(PHASES + 1)]

    def blind(self, now: float) -> None:
        """Learn nothing for one window, because it holds what was not counted here."""
        self.next_probe = now + self._window

    def granted(self, grants: Iterable[Grant]) -> None:
        """Count grants, in the order of their times."""
        self._views.granted(grants)

    def answered(self, answers: Iterable[Answer]) -> None:
        """Note what requests that were answered left over, and learn from what Azure said of some of them."""
        self._views.answered(answers)
        for grant, usage, _ in answers:
            if grant.id in self._awaited:
                self._compare(self._awaited.pop(grant.id), usage)

    def withdrawn(self, grant: Grant) -> None:
        """Take back a grant that Azure does not count: it was not sent, or was refused."""
        self._awaited.pop(grant.id, None)
        self._views.take_back(grant)

    def probe(self, grant: Grant) -> None:
        """Remember what each way of counting says at the moment of a grant, which was counted already."""
        self.next_probe = max(self.next_probe, grant.at - self._window) + self._gap
        self._awaited[grant.id] = self._views.at(grant.at)
        if len(self._awaited) > _MOST_AWAITED:  # the first of them is the one least likely to be reported
            del self._awaited[next(iter(self._awaited))]

    def evidence(self) -> Evidence | None:
        """Return how the two ways of settling compare, once there is something to compare."""
        return self._evidence

    def _compare(self, view: View, usage: Usage) -> None:
        """Hold what Azure said of a request that was answered against what was remembered of its moment."""
        remaining = usage.ratelimit.remaining_tokens
        if remaining:  # 0 says only that there is no more
            limit = usage.ratelimit.limit_tokens or self._tpm
            self._observe(view, (limit - remaining) / self._tpm)

    def _observe(self, view: View, counted: float) -> None:
        """Hold what was counted against what each way of counting would have counted."""
        tpm = self._tpm
        lines = zip(self._judged, self._actual, *view, strict=True)
        for judged, actual, prompts, exact, unused, passed in lines:
            judged.add(prompts / tpm, passed, counted - exact / tpm)
            actual.add(prompts / tpm, passed, counted - (exact - unused) / tpm)
        self._observed += 1
        if self._observed <= _EAGER or self._observed % _SELDOM == 0:
            self._believe()

    def _believe(self) -> None:
        """Go by the way of counting that fits best, if it fits well."""
        judged, actual = _best(self._judged), _best(self._actual)
        best = min(judged, actual, key=_misfit)
        if best.weight < _ENOUGH:
            return
        self._evidence = Evidence(observations=judged.weight, judged=judged.misfit, actual=actual.misfit)
        if best.misfit <= _GOOD:
            self.bias = min(max(best.bias, _LEAST_BIAS), _MOST_BIAS)
            self.unaccounted = round(best.others * self._tpm)


def _best(fits: list[Fit]) -> Line:
    """Return the line that fits best."""
    return min((fit.line() for fit in fits), key=_misfit)


def _misfit(line: Line) -> float:
    """Return what the best line has least of."""
    return line.misfit
