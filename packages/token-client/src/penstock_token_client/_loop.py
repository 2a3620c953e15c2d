"""The closed loop of one pool: what reports teach, and the terms that follow from it.

In this order: limits and pauses from headers, the bias of prompt estimates, traffic that did not ask, and how long
answers are. Nothing here grants or refuses anything; the ledger goes by the terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._calibration import Calibration
from ._completions import Completions
from ._throttling import Throttling

if TYPE_CHECKING:
    from ._grant import Grant
    from ._ledger import Ledger
    from ._limits import Limits
    from ._usage import Answer, Usage

_LEAST_SHARE = 0.1
"""The part of the limit that stays ours however much others seem to use: without requests nothing more is learned."""

_LOOKS = 60
"""How often in a window the terms are worked out anew, if nothing urgent happens."""

_CAUTION = 0.01
"""What is kept of a bias below 1."""

_BINDING = 0.8
"""The part of the tokens in use above which it is they that keep callers waiting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What outlives a process: what was learned, with times of the ledger's clock.

    Attributes:
        bias: Tokens of a prompt that Azure counts for one that was estimated.
        unaccounted: Tokens per window used by those who did not ask.
        tpm: The limit that Azure named last.
        tpm_until: Until when that holds.
        paused_until: Until when Azure wants nothing.
        distances: By how much the margin, the margin of the sub-window and the part that is held back were raised
            last, and when.
        doubted_until: Until when Azure is not taken to count less than we estimate.
        gone_until: Grants up to this time had left the window when it grew, and do not come back.
    """

    bias: float
    unaccounted: int
    tpm: int
    tpm_until: float
    paused_until: float
    distances: tuple[tuple[float, float], ...] = ()
    doubted_until: float = -math.inf
    gone_until: float = -math.inf


class ClosedLoop:
    """Learns from one pool's grants and reports.

    Args:
        limits: The pool's limits, as configured.
        doubt: Seconds after a 429 for tokens in which Azure is not taken to count less than we estimate.

    Attributes:
        next_look: The time from which on the terms are worked out anew.
    """

    def __init__(self, limits: Limits, *, doubt: float = 600.0) -> None:
        self._limits = limits
        self._doubt = doubt
        self._doubted_until = -math.inf
        self._throttling = Throttling(limits)
        self._calibration = Calibration(limits.window, limits.tpm)
        self._completions = Completions(limits.learn_max_tokens)
        self.next_look = -math.inf
        self._fresh: list[Grant] = []
        self._answers: list[Answer] = []

    def restore(self, lesson: Lesson) -> None:
        """Begin with what another process learned."""
        limits = self._limits
        self._calibration = Calibration(limits.window, limits.tpm, bias=lesson.bias, unaccounted=lesson.unaccounted)
        self._throttling.restore(lowered=lesson.tpm, lowered_until=lesson.tpm_until, paused_until=lesson.paused_until)
        self._throttling.keep_distances(lesson.distances)
        self._doubted_until = lesson.doubted_until

    def lesson(self, gone_until: float = -math.inf) -> Lesson:
        """Return what is worth keeping, beside what the ledger says is gone."""
        self._digest()
        tpm, tpm_until, paused_until = self._throttling.heard()
        return Lesson(
            bias=round(self._calibration.bias, 3),
            unaccounted=self._calibration.unaccounted,
            tpm=tpm,
            tpm_until=tpm_until,
            paused_until=paused_until,
            distances=self._throttling.distances(),
            doubted_until=self._doubted_until,
            gone_until=gone_until,
        )

    def blind(self, now: float) -> None:
        """Learn nothing from what is left for one window, because this process did not see what was sent before."""
        self._calibration.blind(now)

    def granted(self, grant: Grant) -> None:
        """Note what is about to be sent, and was not before; it is counted later, with others."""
        self._fresh.append(grant)
        if grant.at >= self._calibration.next_probe:
            self._digest()
            self._calibration.probe(grant)

    def released(self, grant: Grant) -> None:
        """Count what was not sent after all."""
        self._digest()
        self._calibration.withdrawn(grant)

    def answered(self, grant: Grant, usage: Usage, now: float) -> None:
        """Note the report of a request that was answered; it is learned from later, with others."""
        self._answers.append((grant, usage, now))

    def failed(self, grant: Grant, usage: Usage, now: float) -> None:
        """Learn from the report of a request that failed, or was refused."""
        self._digest()
        if usage.status != "429":
            self._throttling.hear(usage, now)
            if usage.ratelimit.remaining_tokens is not None:
                self._calibration.arrived(grant)
            return
        if self._throttling.refuse(usage, grant.tokens, now) == "tokens":
            self._doubted_until = now + self._doubt
        self._calibration.withdrawn(grant)
        self.next_look = now

    def _digest(self) -> None:
        """Count and learn from what was noted, all at once, because few look at it."""
        self._calibration.granted(self._fresh)
        self._calibration.answered(self._answers)
        self._completions.answered(self._answers)
        for _, usage, now in reversed(self._answers):
            if self._throttling.hear(usage, now):  # the last that Azure said is all that counts
                break
        self._fresh.clear()
        self._answers.clear()

    def look(self, ledger: Ledger, now: float) -> None:
        """Let the ledger go by what is known by now: at once after a refusal, otherwise now and then."""
        if now >= self.next_look:
            self._look(ledger, now)

    def _look(self, ledger: Ledger, now: float) -> None:
        """Work out the terms."""
        self.next_look = now + self._limits.window / _LOOKS
        self._digest()
        terms = self._limits.terms(
            tpm=self._tpm(now),
            bias=self._bias(now),
            margin=round(self._throttling.margin(now), 3),
            sub_margin=round(self._throttling.sub_margin(now), 3),
            paused_until=self._throttling.paused_until,
        )
        ledger.adjust(terms, now)

    def suggestion(self, app: str, ledger: Ledger) -> int | None:
        """Return a ``max_tokens`` that is usually enough, while it is tokens that keep callers waiting."""
        if self._limits.learn_max_tokens is None:
            return None
        use = ledger.tokens / ledger.terms.tpm
        if use < _BINDING or use < ledger.requests / ledger.terms.rpm:
            return None
        self._digest()
        return self._completions.suggestion(app)

    def facts(self, now: float) -> dict[str, Any]:
        """Return what was learned, in the words of the wire."""
        self._digest()
        evidence = self._calibration.evidence()
        return {
            "paused_seconds": round(max(0.0, self._throttling.paused_until - now), 3),
            "http_429": sum(self._throttling.refused.values()),
            "http_429_by_cause": dict(self._throttling.refused),
            "bias": round(self._calibration.bias, 3),
            "unaccounted_tokens": self._calibration.unaccounted,
            "settling_evidence": None
            if evidence is None
            else {
                "observations": round(evidence.observations),
                "judged": round(evidence.judged, 4),
                "actual": round(evidence.actual, 4),
            },
            "margin_seconds": round(self._limits.margin + self._throttling.margin(now), 3),
            "sub_margin_seconds": round(self._limits.sub_margin + self._throttling.sub_margin(now), 3),
            "suggested_max_tokens": self._completions.suggestions(),
        }

    def _tpm(self, now: float) -> int:
        """Return the tokens per window that are ours."""
        limit = self._throttling.tpm(now)
        return max(limit - self._calibration.unaccounted, math.ceil(limit * _LEAST_SHARE))

    def _bias(self, now: float) -> float:
        """Return the bias to go by, to the nearest half percent, so that small changes reprice nothing.

        That Azure counts less than we estimate is not believed to the last percent, nor when it refused us just now.
        """
        bias = round(self._calibration.bias * 200) / 200
        if bias >= 1:
            return bias
        return 1.0 if now < self._doubted_until else min(1.0, bias + _CAUTION)
