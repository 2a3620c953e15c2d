"""Two apps under endless backlog in a simulated hour: each gets what its weight says, however large its requests."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from penstock_token_client.accounting import Ledger, Limits, Order, Sharing, Waiter, WaitQueue

LIMITS = Limits(tpm=60_000, rpm=600, headroom=0.0)
HOUR = 3600.0
WARM_UP = 120.0


@dataclass
class App:
    """A crowd of workers that take the next message at once; a prompt is log-normal, an answer up to 1,000 tokens."""

    name: str
    workers: int
    median_prompt: int
    tokens: int = 0
    waits: list[float] = field(default_factory=list)

    def order(self, chance: random.Random) -> Order:
        prompt = min(int(self.median_prompt * chance.lognormvariate(0.0, 0.5)), 12_000)
        return Order(app=self.name, tokens=prompt + 1000)


def simulate(apps: list[App], weights: dict[str, float], seed: int) -> None:
    """Let the apps work for an hour of a virtual clock."""
    chance = random.Random(seed)
    line = WaitQueue(Ledger(LIMITS, instance="test"), instance="test", sharing=Sharing(weights=weights))
    by_name = {app.name: app for app in apps}
    arrivals = [(chance.uniform(0, 2), number, app.name) for app in apps for number in range(app.workers)]
    heapq.heapify(arrivals)
    joined: dict[Waiter, float] = {}
    now = 0.0
    while now < HOUR:
        while arrivals and arrivals[0][0] <= now:
            app = by_name[heapq.heappop(arrivals)[2]]
            joined[line.join(app.order(chance), now)] = now
        for waiter, _ in line.grants(now):
            app = by_name[waiter.order.app]
            since = joined.pop(waiter)
            if now >= WARM_UP:
                app.tokens += waiter.order.tokens
                app.waits.append(now - since)
            heapq.heappush(arrivals, (now + chance.uniform(2, 6), id(waiter), app.name))
        wake_at = line.wake_at(now)
        now = min(at for at in (wake_at, arrivals[0][0] if arrivals else None) if at is not None)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("small_weight", "large_weight"), [(1, 3), (3, 1), (1, 1)], ids=["large-three", "small-three", "equal"]
)
def test_two_apps_hold_their_shares_of_the_judged_tokens(small_weight: int, large_weight: int, seed: int) -> None:
    small, large = App("small", 48, 800), App("large", 48, 3200)

    simulate([small, large], {"small": small_weight, "large": large_weight}, seed)

    share = large.tokens / (small.tokens + large.tokens)
    assert share == pytest.approx(large_weight / (small_weight + large_weight), abs=0.05)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_large_requests_are_not_starved_by_many_small_ones(seed: int) -> None:
    small, large = App("small", 48, 800), App("large", 16, 3200)

    simulate([small, large], {}, seed)

    assert large.tokens / (small.tokens + large.tokens) == pytest.approx(0.5, abs=0.05)
    assert small.tokens + large.tokens >= 0.97 * LIMITS.tpm * (HOUR - WARM_UP) / 60
    waits = sorted(large.waits)
    assert waits[int(0.99 * len(waits))] <= 1.7 * waits[len(waits) // 2]
