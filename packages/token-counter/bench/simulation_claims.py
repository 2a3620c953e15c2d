"""What is claimed of ours: one line per goal, decided by the worst of all seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from simulation_plan import HIDDEN
from simulation_scenarios import SCENARIOS
from simulation_windows import most_in_a_minute, our_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation_plan import Facts, Found

Line = dict[str, Any]

EXACT = ("S1", "S2", "S4", "S5", "S7b")


class Claim(NamedTuple):
    """A goal, and what it is held against.

    Attributes:
        words: What is claimed.
        goal: How much.
        worst: ``max`` where that is the most that is allowed, ``min`` where it is the least that is wanted.
        values: What was measured.
    """

    words: str
    goal: float
    worst: Callable[[list[float]], float]
    values: list[float]

    def line(self) -> Line:
        """Return the claim as it is reported."""
        value = self.worst(self.values)
        met = value <= self.goal if self.worst is max else value >= self.goal
        return {"claim": self.words, "value": round(value, 2), "goal": self.goal, "met": met}


def claims(found: Found) -> list[Line]:
    """Return the claims, in the order of the goals."""
    return [claim.line() for claim in (*_exact(found), *_bound_by_requests(found), *_learned(found), *_hidden(found))]


def _exact(found: Found) -> list[Claim]:
    """Claim what holds when the endpoint counts as we do."""
    s1, s5 = found["S1", "ours"], found["S5", "ours"]
    rejected = [run["rejected"] for scenario in EXACT for run in found[scenario, "ours"]]
    spread = [run["p99"] / run["p50"] for run in s1]
    return [
        Claim("429s in any run, exact judge, no headroom", 0, max, rejected),
        Claim("% of TPM judged, S1", 98.5, min, each(s1, "judged")),
        Claim("% of TPM judged, S5", 97.5, min, each(s5, "judged")),
        Claim("p99 of the wait / its p50, S1", 1.6, max, spread),
    ]


def _bound_by_requests(found: Found) -> list[Claim]:
    """Claim how much of the request limit is used where it is what binds."""
    return [
        Claim(f"% of RPM used where it binds, {words} ({scenario})", goal, min, shares_of_rpm(found, scenario))
        for scenario, words, goal in (("S4", "10 s sub-windows", 97), ("S7b", "1 s sub-windows", 90))
    ]


def _learned(found: Found) -> list[Claim]:
    """Claim what a learned `max_tokens` brings and costs.

    The gain is that of all seeds together: two runs of one seed see different messages, and an hour of them differs by
    a percent or two.
    """
    learned = found["S1", "learned"]
    gain = 100 * (sum(each(learned, "good")) / sum(each(found["S1", "ours"], "good")) - 1)
    return [
        Claim("% more goodput with max_tokens learned, S1, all seeds", 21, min, [gain]),
        Claim("% of answers truncated then", 6, max, each(learned, "truncated_share")),
    ]


def _hidden(found: Found) -> list[Claim]:
    """Claim what holds when nobody knows how the endpoint counts, and of every limiter's weak moment."""
    unknown = found[HIDDEN, "defaults"]
    return [
        Claim("429s per 1,000 messages, hidden judge, as it comes", 1, max, each(unknown, "per_1000")),
        Claim("% of TPM judged, hidden judge, as it comes", 95, min, each(unknown, "judged")),
        Claim("x the limit in any 60 s, flooded as a window ends", 1, max, [most_in_a_minute(our_ledger())]),
    ]


def each(runs: list[Facts], name: str) -> list[float]:
    """Return one number of every run."""
    return [run[name] for run in runs]


def shares_of_rpm(found: Found, scenario: str) -> list[float]:
    """Return the share of the request limit that every run used."""
    return [100 * run["rpm"] / SCENARIOS[scenario].rules.rpm for run in found[scenario, "ours"]]
