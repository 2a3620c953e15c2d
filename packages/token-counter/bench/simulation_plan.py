"""What is run: every scenario with the policies that say something there, each with several seeds, on all cores."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from simulation_ours import LEARNED, as_deployed, by_default, by_use, ours
from simulation_policies import PEERS, Peer, line
from simulation_scenarios import SCENARIOS, hidden, simulate

Facts = dict[str, float]
Found = Mapping[tuple[str, str], list[Facts]]
"""The numbers of each run, by scenario and policy, in the order of the seeds."""

HIDDEN = "hidden judge"

POLICIES = {
    "ours": Peer("ours", partial(ours, limits=as_deployed)),
    "learned": Peer("ours, max_tokens learned", partial(ours, limits=partial(as_deployed, learn_max_tokens=LEARNED))),
    "actual": Peer("ours, settling by use", partial(ours, limits=by_use)),
    "1 %": Peer("ours, headroom 1 %", partial(ours, limits=partial(as_deployed, headroom=0.01))),
    "2 %": Peer("ours, headroom 2 %", partial(ours, limits=partial(as_deployed, headroom=0.02))),
    "defaults": Peer("ours, as it comes", partial(ours, limits=by_default)),
    **PEERS,
    "iv-b, 1 %": Peer("log, line with backfill, headroom 1 %", partial(line, backfill=True, headroom=0.01)),
    "iv-b, 2 %": Peer("log, line with backfill, headroom 2 %", partial(line, backfill=True, headroom=0.02)),
}

FEW = ("i-b", "ii", "iii-a", "iii-b", "iv-b")
BRIEF = ("S1", "S5")
"""The scenarios in which a brief report sets ours beside a few peers."""
PLAN: dict[str, tuple[str, ...]] = {
    "S1": ("ours", "learned", *PEERS),
    "S2": ("ours", "actual", *PEERS),
    "S3": ("ours", *FEW),
    "S4": ("ours", "learned", *PEERS),
    "S5": ("ours", "learned", *PEERS),
    "S6": ("ours", "1 %", "2 %", "iv-b", "iv-b, 1 %", "iv-b, 2 %"),
    "S7b": ("ours", *FEW),
    HIDDEN: ("defaults", *FEW),
}
CLAIMED = {
    "S1": ("ours", "learned"),
    "S2": ("ours",),
    "S4": ("ours",),
    "S5": ("ours",),
    "S7b": ("ours",),
    HIDDEN: ("defaults",),
}
"""Whatever a claim rests on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run.

    Attributes:
        scenario: The name of its scenario.
        policy: The tag of its policy.
        seed: What makes it this run.
        longest: Seconds after which it ends, if its scenario has not ended before.
    """

    scenario: str
    policy: str
    seed: int
    longest: float

    def run(self) -> Facts:
        """Simulate."""
        full = hidden(self.seed) if self.scenario == HIDDEN else SCENARIOS[self.scenario]
        scenario = replace(full, seconds=min(full.seconds, self.longest))
        return simulate(scenario, POLICIES[self.policy].policy, self.seed)


def run_all(*, seeds: int, other_seeds: int, longest: Mapping[str, float] | None = None) -> Found:
    """Run the plan on all cores.

    Args:
        seeds: How often that is run which claims or a brief report rest on.
        other_seeds: How often the rest is.
        longest: The most seconds that a scenario takes, by its name, and for all others by ``""``.
    """
    jobs = list(_jobs(seeds, other_seeds, longest or {}))
    found: dict[tuple[str, str], list[Facts]] = {(job.scenario, job.policy): [] for job in jobs}
    # Spawned, because a fork of a process that has threads is not safe, and a test runner has.
    with multiprocessing.get_context("spawn").Pool() as pool:
        for job, facts in zip(jobs, pool.imap(Job.run, jobs), strict=True):
            found[job.scenario, job.policy].append(facts)
    return found


def _jobs(seeds: int, other_seeds: int, longest: Mapping[str, float]) -> Iterator[Job]:
    """List the runs."""
    for scenario, policies in PLAN.items():
        limit = longest.get(scenario, longest.get("", math.inf))
        for policy in policies:
            for seed in range(1, (seeds if _is_essential(scenario, policy) else other_seeds) + 1):
                yield Job(scenario=scenario, policy=policy, seed=seed, longest=limit)


def _is_essential(scenario: str, policy: str) -> bool:
    """Tell whether a claim or a brief report rests on it."""
    return policy in CLAIMED.get(scenario, ()) or (scenario in BRIEF and policy in FEW)
