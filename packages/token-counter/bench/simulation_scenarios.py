"""The loads that are simulated, and one run of one of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random
from typing import TYPE_CHECKING

from simulation_judge import Rules, Window
from simulation_model import Crew, Endpoint, Scenario, work
from simulation_tally import Tally
from simulation_timeline import Timeline

if TYPE_CHECKING:
    from simulation_policies import Policy

DOCUMENTED = Rules(tpm=60_000, rpm=600)
LARGE = Rules(tpm=600_000, rpm=3600)
REQUEST_BOUND = Rules(tpm=600_000, rpm=600)
SHORT = (Crew(app="A", workers=64, prompt=100, completion=50, max_tokens=200),)
TWO_APPS = (Crew(app="A", workers=48), Crew(app="B", workers=16, prompt=3200))
HALF_AN_HOUR = 1800.0

WINDOWS: tuple[Window, ...] = ("fixed", "sliding")
COMBINATIONS = tuple(product(WINDOWS, (False, True), (1.0, 10.0)))
LEAST_BIAS, MOST_BIAS = -0.10, 0.15
HIDDEN_NOISE = 0.02

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="S1", rules=DOCUMENTED),
        Scenario(name="S2", rules=replace(DOCUMENTED, window="sliding", refund=True)),
        Scenario(name="S3", rules=LARGE, seconds=HALF_AN_HOUR),
        Scenario(name="S4", rules=replace(REQUEST_BOUND, sub_window=10.0), crews=SHORT, seconds=HALF_AN_HOUR),
        Scenario(name="S7b", rules=REQUEST_BOUND, crews=SHORT, seconds=HALF_AN_HOUR),
        Scenario(name="S5", rules=DOCUMENTED, crews=TWO_APPS),
        Scenario(name="S6", rules=replace(DOCUMENTED, noise=0.15), seconds=HALF_AN_HOUR),
    )
}


def hidden(seed: int) -> Scenario:
    """Draw a deployment whose habits nobody knows, under the load of S1; eight seeds in a row see every combination."""
    window, refund, sub_window = COMBINATIONS[seed % len(COMBINATIONS)]
    bias = Random(f"hidden {seed}").uniform(LEAST_BIAS, MOST_BIAS)  # noqa: S311 - a simulation keeps no secrets
    rules = replace(DOCUMENTED, window=window, refund=refund, sub_window=sub_window, bias=bias, noise=HIDDEN_NOISE)
    return Scenario(name="hidden judge", rules=rules)


def simulate(scenario: Scenario, policy: Policy, seed: int) -> dict[str, float]:
    """Run a scenario once, and return its numbers."""
    timeline, tally = Timeline(), Tally()
    random = Random(seed)  # noqa: S311 - a simulation keeps no secrets
    endpoint = Endpoint(scenario.rules, timeline, random, tally)
    deliver = policy(endpoint, scenario.rules)
    for crew in scenario.crews:
        for _ in range(crew.workers):
            timeline.start(work(crew, endpoint, deliver, scenario.rules))
    timeline.run(scenario.seconds)
    return tally.facts(scenario)
