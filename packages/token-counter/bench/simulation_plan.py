"""What is run: every scenario with the policies that say something there, each with several seeds, on all cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from simulation_ours import LEARNED, as_deployed, by_default, by_use, ours
from simulation_policies import PEERS, Peer, line
from simulation_scenarios import SCENARIOS, hidden, simulate

if TYPE_CHECKING:
    from simulation_model import Scenario

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run."""

    scenario: str
    policy: str
    seed: int
    shortened: float

    def run(self) -> Facts:
        """Simulate."""
        return simulate(self._scenario(), POLICIES[self.policy].policy, self.seed)

    def _scenario(self) -> Scenario:
        """Return the scenario, as long as it is to be."""
        full = hidden(self.seed) if self.scenario == HIDDEN else SCENARIOS[self.scenario]
        return replace(full, seconds=full.seconds * self.shortened)


def run_all(*, seeds: int, shortened: float, peers: bool) -> Found:
    """Run the plan on all cores.

    Args:
        seeds: How many runs of each.
        shortened: The share of its time that each scenario takes.
        peers: Whether all peers are run, or just a few.
    """
    jobs = list(_jobs(seeds, shortened, peers=peers))
    found: dict[tuple[str, str], list[Facts]] = {(job.scenario, job.policy): [] for job in jobs}
    with multiprocessing.Pool() as pool:
        for job, facts in zip(jobs, pool.imap(Job.run, jobs), strict=True):
            found[job.scenario, job.policy].append(facts)
    return found


def _jobs(seeds: int, shortened: float, *, peers: bool) -> Iterator[Job]:
    """List the runs."""
    for scenario, policies in PLAN.items():
        for policy in policies:
            if peers or policy in FEW or policy not in PEERS:
                for seed in range(1, seeds + 1):
                    yield Job(scenario=scenario, policy=policy, seed=seed, shortened=shortened)
