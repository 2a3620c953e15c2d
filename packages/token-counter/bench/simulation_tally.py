"""What is counted in one run, once its first two minutes are over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from simulation_judge import MINUTE

if TYPE_CHECKING:
    from simulation_judge import Verdict
    from simulation_model import Message, Scenario

WARM_UP = 120.0
"""Seconds that are dropped: the start of a fleet is not what its hours are like."""


class Tally:
    """The account of one run."""

    def __init__(self) -> None:
        self.good: Counter[str] = Counter()
        self.admitted: Counter[str] = Counter()
        self.waits: dict[str, list[float]] = {}
        self.rejected: Counter[str] = Counter()
        self.finished = self.gave_up = self.truncated = 0

    def judged(self, message: Message, tokens: int, verdict: Verdict, now: float) -> None:
        """Count an arrival."""
        if now < WARM_UP:
            return
        if verdict.cause is not None:
            self.rejected[verdict.cause] += 1
        else:
            self.admitted[message.app] += tokens

    def answered(self, message: Message, max_tokens: int, waited: float, now: float) -> None:
        """Count an answer: a whole one ends its message, a truncated one is of no use."""
        if now < WARM_UP:
            return
        if message.truncated(max_tokens):
            self.truncated += 1
            return
        self.finished += 1
        self.good[message.app] += message.used(max_tokens)
        self.waits.setdefault(message.app, []).append(waited)

    def give_up(self, now: float) -> None:
        """Count a message that went back to where it came from."""
        self.gave_up += now >= WARM_UP

    def facts(self, scenario: Scenario) -> dict[str, float]:
        """Return the numbers of the run, by the names of the report."""
        minutes = (scenario.seconds - WARM_UP) / MINUTE
        quota = scenario.rules.tpm * minutes / 100
        good, rejected = self.good.total(), self.rejected.total()
        waits = sorted(wait for each in self.waits.values() for wait in each)
        last = scenario.crews[-1].app
        return {
            "good": good / quota,
            "judged": self.admitted.total() / quota,
            "rpm": self.finished / minutes,
            "rejected": rejected,
            "rejected_by_requests": self.rejected["requests"],
            "per_1000": 1000 * rejected / max(1, self.finished),
            "gave_up": self.gave_up,
            "truncated": self.truncated,
            "truncated_share": 100 * self.truncated / max(1, self.finished + self.truncated),
            "p50": quantile(waits, 0.5),
            "p99": quantile(waits, 0.99),
            "max": quantile(waits, 1.0),
            "last_good": 100 * self.good[last] / max(1, good),
            "last_judged": 100 * self.admitted[last] / max(1, self.admitted.total()),
            "last_p99": quantile(sorted(self.waits.get(last, ())), 0.99),
        }


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which a share of the ordered values lies; 0 where there is none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
