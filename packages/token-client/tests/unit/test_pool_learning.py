"""What a pool learns of an endpoint that counts its own way, held against that endpoint's own account."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pytest

from penstock_token_client.accounting import Limits, Order, Pool, RateLimit, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = Limits(tpm=60_000, rpm=600)
MINUTE = 60.0
WORKERS = 40
CALL = 3.0
FIRST = 40.0
"""Seconds after which estimates are exact, where they are too high at first."""
EXACT = Limits(tpm=60_000, rpm=600, headroom=0.0)


@dataclass
class Endpoint:
    """Counts tokens at arrival, in fixed minutes or over the last one, by an estimate of its own."""

    bias: float
    sliding: bool = False
    refunds: bool = False
    phase: float = 17.0
    limit: int = LIMITS.tpm
    counted: list[list[float]] = field(default_factory=list)  # [when, tokens]
    refused: list[float] = field(default_factory=list)

    def used(self, now: float) -> float:
        since = now - MINUTE if self.sliding else math.floor((now - self.phase) / MINUTE) * MINUTE + self.phase
        self.counted = [entry for entry in self.counted if entry[0] > now - MINUTE]
        return sum(tokens for at, tokens in self.counted if at > since or (at == since and not self.sliding))

    def arrive(self, now: float, prompt: int, max_tokens: int) -> list[float] | None:
        judged = math.ceil(prompt * self.bias) + max_tokens
        if self.used(now) + judged > self.limit:
            self.refused.append(now)
            return None
        self.counted.append([now, judged])
        return self.counted[-1]

    def remaining(self, now: float) -> int:
        return max(0, math.floor(self.limit - self.used(now)))


class Fleet:
    """Workers with an endless backlog, on a clock that is turned from event to event."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        limits: Limits = LIMITS,
        seed: int = 1,
        others: int = 0,
        delay: float = 0.02,
        never_sent: float = 0.0,
        never_reported: float = 0.0,
        first_estimates: float = 1.0,
        pool: Pool | None = None,
        now: float = 0.0,
    ) -> None:
        self.endpoint = endpoint
        self.pool = Pool(limits, instance="test", now=now) if pool is None else pool
        self.random = random.Random(seed)
        self.delay = delay
        self.never_sent = never_sent
        self.never_reported = never_reported
        self.first_estimates = first_estimates
        self.now = now
        self.judged: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._waiting: dict[object, tuple[int, int]] = {}
        for worker in range(WORKERS):
            self._at(now + worker / 10, self._ask)
        if others:
            self._at(0.5, lambda now: self._somebody_else(now, others))

    def run(self, seconds: float) -> None:
        while self.now < seconds:
            wake = self.pool.queue.wake_at(self.now)
            if wake is not None and (not self._events or wake <= self._events[0][0]):
                self.now = max(self.now, wake)
            else:
                self.now, _, event = heapq.heappop(self._events)
                event(self.now)
            for waiter, grant in self.pool.grants(self.now):
                self._send(grant.id, *self._waiting.pop(waiter), self.now)

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), event))

    def _ask(self, now: float) -> None:
        prompt = min(int(800 * math.exp(self.random.gauss(0, 0.5))), 12_000)
        estimate = math.ceil(prompt * (self.first_estimates if now < FIRST else 1.0))
        order = Order(app="app", tokens=estimate + 1000, max_tokens=1000)
        grant = self.pool.grant_now(order, now)
        if grant is not None:
            self._send(grant.id, prompt, 1000, now)
        else:
            self._waiting[self.pool.queue.join(order, now)] = prompt, 1000

    def _send(self, grant_id: str, prompt: int, max_tokens: int, now: float) -> None:
        late = self.delay * self.random.uniform(0.5, 1.5)
        if self.random.random() < self.never_sent:
            self._at(now + late, self._ask)
            return
        self._at(now + late, lambda at: self._arrive(grant_id, prompt, max_tokens, at))

    def _arrive(self, grant_id: str, prompt: int, max_tokens: int, now: float) -> None:
        entry = self.endpoint.arrive(now, prompt, max_tokens)
        remaining = self.endpoint.remaining(now)
        if entry is None:
            wait = RateLimit(remaining_tokens=remaining, retry_after_ms=2000)
            self.pool.settle(grant_id, Usage(prompt_tokens=0, completion_tokens=0, status="429", ratelimit=wait), now)
            self._at(now + 1, self._ask)
            return
        self.judged.append((now, int(entry[1])))
        length = self.random.randint(50, 600)
        self._at(now + CALL, lambda at: self._answer(grant_id, prompt, length, entry, remaining, at))

    def _answer(self, grant_id: str, prompt: int, length: int, entry: list[float], remaining: int, now: float) -> None:
        if self.endpoint.refunds:
            entry[1] -= 1000 - length
        said = RateLimit(limit_tokens=self.endpoint.limit, remaining_tokens=remaining)
        if self.random.random() >= self.never_reported:
            self.pool.settle(grant_id, Usage(prompt_tokens=prompt, completion_tokens=length, ratelimit=said), now)
        self._ask(now)

    def _somebody_else(self, now: float, per_minute: int) -> None:
        self.endpoint.arrive(now, 0, per_minute // 60)
        self._at(now + 1, lambda at: self._somebody_else(at, per_minute))


@pytest.mark.parametrize("bias", [0.9, 1.0, 1.15, 1.3])
@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("refunds", [False, True])
def test_the_bias_of_estimates_is_learned_however_the_endpoint_counts(
    bias: float,
    sliding: bool,  # noqa: FBT001 - a parameter of the test
    refunds: bool,  # noqa: FBT001 - likewise
) -> None:
    endpoint = Endpoint(bias, sliding=sliding, refunds=refunds)
    fleet = Fleet(endpoint)

    fleet.run(12 * MINUTE)

    facts = fleet.pool.status(12 * MINUTE)
    assert facts["bias"] == pytest.approx(bias, abs=0.02)
    assert facts["unaccounted_tokens"] <= 0.02 * LIMITS.tpm
    assert [at for at in endpoint.refused if at > 2 * MINUTE] == []
    late = sum(tokens for at, tokens in fleet.judged if at > 2 * MINUTE)
    assert late >= 0.95 * LIMITS.tpm * 10


@pytest.mark.parametrize(("refunds", "settling"), [(False, "judged"), (True, "actual")])
def test_evidence_shows_which_way_of_settling_explains_the_headers(
    refunds: bool,  # noqa: FBT001 - a parameter of the test
    settling: Literal["judged", "actual"],
) -> None:
    fleet = Fleet(Endpoint(1.05, sliding=True, refunds=refunds))

    fleet.run(6 * MINUTE)

    evidence = fleet.pool.status(6 * MINUTE)["settling_evidence"]
    assert min(("judged", "actual"), key=evidence.__getitem__) == settling
    assert evidence["observations"] >= 30
    assert fleet.pool.status(6 * MINUTE)["settle"] == "judged"  # nothing switches by itself


@pytest.mark.parametrize("sliding", [False, True])
def test_traffic_that_did_not_ask_is_seen_and_left_its_part(sliding: bool) -> None:  # noqa: FBT001 - a parameter
    fleet = Fleet(Endpoint(1.0, sliding=sliding), others=12_000)

    fleet.run(25 * MINUTE)

    facts = fleet.pool.status(25 * MINUTE)
    assert facts["unaccounted_tokens"] == pytest.approx(12_000, rel=0.2)
    assert facts["bias"] == pytest.approx(1.0, abs=0.12)
    assert facts["effective_tpm"] <= 60_000 - facts["unaccounted_tokens"]


@pytest.mark.parametrize("known", [True, False])
def test_a_pool_that_starts_anew_takes_nobody_for_others(known: bool) -> None:  # noqa: FBT001 - a parameter
    endpoint = Endpoint(1.1, sliding=True)
    before = Fleet(endpoint)
    before.run(3 * MINUTE)

    after = Pool(LIMITS, instance="next", now=before.now, assume_full=not known)
    if known:
        after.restore(before.pool.ledger.charges(before.now), before.pool.loop.lesson(), before.now)
    fleet = Fleet(endpoint, pool=after, now=before.now)

    for minute in (4, 5, 6, 7):
        fleet.run(minute * MINUTE)
        assert after.status(minute * MINUTE)["unaccounted_tokens"] == 0
    assert after.status(7 * MINUTE)["bias"] == pytest.approx(1.1, abs=0.02)


@pytest.mark.parametrize("share", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_granted_and_never_sent_is_not_taken_for_estimates_that_are_too_high(
    share: float,
    sliding: bool,  # noqa: FBT001 - a parameter of the test
    seed: int,
) -> None:
    fleet = Fleet(Endpoint(1.0, sliding=sliding), limits=EXACT, never_sent=share, seed=seed)

    fleet.run(12 * MINUTE)

    assert fleet.endpoint.refused == []
    assert 1.0 <= fleet.pool.status(12 * MINUTE)["bias"] <= 1.05


@pytest.mark.parametrize("share", [0.003, 0.03, 0.3])
def test_what_was_counted_and_never_reported_costs_next_to_nothing(share: float) -> None:
    fleet = Fleet(Endpoint(1.0), limits=EXACT, never_reported=share)

    fleet.run(12 * MINUTE)

    assert fleet.endpoint.refused == []
    assert sum(tokens for at, tokens in fleet.judged if at > 2 * MINUTE) >= 0.95 * LIMITS.tpm * 10


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_estimates_that_were_too_high_at_first_say_nothing_of_later_ones(sliding: bool, seed: int) -> None:  # noqa: FBT001 - a parameter
    fleet = Fleet(Endpoint(1.0, sliding=sliding), limits=EXACT, first_estimates=1.1, seed=seed)

    fleet.run(12 * MINUTE)

    assert fleet.endpoint.refused == []
    assert fleet.pool.status(12 * MINUTE)["bias"] == pytest.approx(1.0, abs=0.01)


def test_headers_that_fit_no_way_of_counting_teach_nothing() -> None:
    endpoint = Endpoint(1.0)
    noise = random.Random(3)
    endpoint.remaining = lambda now: noise.randint(1, 60_000)  # type: ignore[method-assign]  # noqa: ARG005
    fleet = Fleet(endpoint)

    fleet.run(6 * MINUTE)

    assert fleet.pool.status(6 * MINUTE)["bias"] == 1.0
    assert fleet.pool.status(6 * MINUTE)["unaccounted_tokens"] == 0


def test_what_is_learned_reprices_what_is_in_the_window() -> None:
    fleet = Fleet(Endpoint(1.15))

    fleet.run(30.0)

    prompts = sum(charge.order.tokens - charge.order.max_tokens for charge in fleet.pool.ledger.charges(30.0))
    answers = sum(charge.order.max_tokens for charge in fleet.pool.ledger.charges(30.0))
    assert fleet.pool.ledger.tokens == pytest.approx(prompts * 1.15 * 1.02 + answers, rel=0.01)


def test_deliveries_later_than_the_margin_are_counted_and_the_margin_is_widened() -> None:
    limits = Limits(tpm=60_000, rpm=600, headroom=0.0, margin=0.0)
    endpoint = Endpoint(1.0, sliding=True)
    fleet = Fleet(endpoint, limits=limits, delay=0.4)

    fleet.run(20 * MINUTE)

    facts = fleet.pool.status(20 * MINUTE)
    assert facts["http_429_by_cause"]["tokens"] == len(endpoint.refused) > 0
    assert facts["margin_seconds"] > 0
    early, late = (sum(a * MINUTE <= at < b * MINUTE for at in endpoint.refused) for a, b in ((0, 5), (15, 20)))
    assert late < early
