"""How Azure counts, learned from what its headers say is left: the bias of our estimates, and who else is there.

``x-ratelimit-remaining-tokens`` tells what the endpoint has counted by the time a request arrives. What it should have
counted follows from the ledger, for each way in which it may count: over a sliding window or in fixed minutes of some
phase, with or without giving back what a request left unused. Every way is fitted to what was seen, and the one that
fits best is believed, once it fits well. A request is never judged by this; only the terms of later ones change.

Whatever is in doubt is taken in the way that has us charge more: an estimate that was above the bill says nothing of
how Azure counts, and what nobody reported is taken not to have arrived, or, if that is much, nothing is learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._fit import Fit, Line
from ._views import PHASES, View, Views
from ._whereabouts import Mark, Whereabouts

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

_MOST_LOST = 0.02
"""The share of the limit that may have been granted and never reported while something is learned all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """The moment of a grant.

    Attributes:
        at: Its time.
        mark: What was granted and heard by then.
        view: What each way of counting had counted by then, if everything granted arrived.
    """

    at: float
    mark: Mark
    view: View


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
        self._whereabouts = Whereabouts()
        self._awaited: dict[str, Moment] = {}
        self._told: list[tuple[Moment, float]] = []
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
        self._whereabouts.granted(grants)

    def answered(self, answers: Iterable[Answer]) -> None:
        """Note what requests that were answered left over, and learn from what Azure said of some of them."""
        self._views.answered(answers)
        arrived = self._whereabouts.arrived
        for grant, usage, _ in answers:
            _, tokens, exact, _, _ = grant.order
            if 0 < usage.prompt_tokens < tokens - exact:
                self._correct(grant, tokens - exact - usage.prompt_tokens, 0)
            else:
                arrived(grant.id)
            if grant.id in self._awaited:
                self._hear(self._awaited.pop(grant.id), usage)
        self._learn()

    def withdrawn(self, grant: Grant) -> None:
        """Take back a grant that Azure does not count: it was not sent, or was refused."""
        self._awaited.pop(grant.id, None)
        self._correct(grant, grant.order.tokens - grant.order.max_tokens, grant.order.max_tokens)

    def arrived(self, grant: Grant) -> None:
        """Note that Azure counted a grant, although its request failed."""
        self._whereabouts.arrived(grant.id)

    def probe(self, grant: Grant) -> None:
        """Remember what each way of counting says at the moment of a grant, which was counted already."""
        self.next_probe = max(self.next_probe, grant.at - self._window) + self._gap
        self._give_up(grant.at - self._window)
        self._awaited[grant.id] = Moment(at=grant.at, mark=self._whereabouts.mark(), view=self._views.at(grant.at))

    def evidence(self) -> Evidence | None:
        """Return how the two ways of settling compare, once there is something to compare."""
        return self._evidence

    def _correct(self, grant: Grant, prompts: int, exact: int) -> None:
        """Count so much of a grant no longer: its end is known by now."""
        followed = self._whereabouts.correct(grant.id, prompts, exact)
        if followed is not None:
            self._views.take_back(followed, prompts, exact)

    def _hear(self, moment: Moment, usage: Usage) -> None:
        """Keep what Azure said of a moment."""
        remaining = usage.ratelimit.remaining_tokens
        if remaining:  # 0 says only that there is no more
            limit = usage.ratelimit.limit_tokens or self._tpm
            self._told.append((moment, (limit - remaining) / self._tpm))

    def _give_up(self, before: float) -> None:
        """Wait no longer for the ends of what was granted so long ago that a report would be refused."""
        self._whereabouts.give_up(before)
        self._awaited = {name: moment for name, moment in self._awaited.items() if moment.at > before}
        self._learn()

    def _learn(self) -> None:
        """Learn from the moments up to which all ends are known."""
        whereabouts, told = self._whereabouts, self._told
        self._told = []
        for moment, counted in told:
            if whereabouts.known(moment.mark):
                self._compare(moment, counted)
            else:
                self._told.append((moment, counted))
        waiting = [*self._awaited.values(), *(moment for moment, _ in self._told)]
        whereabouts.forget(min((moment.mark.heard for moment in waiting), default=whereabouts.mark().heard))

    def _compare(self, moment: Moment, counted: float) -> None:
        """Hold what Azure said of a moment against what was granted by then, unless much of that was lost."""
        corrections = list(self._whereabouts.since(moment.mark))
        lost = sum(each.prompts + each.exact for each in corrections if each.lost)
        if lost <= _MOST_LOST * self._tpm:
            view = self._views.without(moment.view, moment.at, corrections) if corrections else moment.view
            self._observe(view, counted)

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
            # Less than was estimated is believed only as far as the misfit leaves no doubt of it.
            certain = max(best.bias, min(1.0, best.bias + best.misfit))
            self.bias = min(max(certain, _LEAST_BIAS), _MOST_BIAS)
            self.unaccounted = round(best.others * self._tpm)


def _best(fits: list[Fit]) -> Line:
    """Return the line that fits best."""
    return min((fit.line() for fit in fits), key=_misfit)


def _misfit(line: Line) -> float:
    """Return what the best line has least of."""
    return line.misfit
