"""A pool that follows another one, word by word, stands as that one stands, and goes on as it would."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from penstock_token_client import Limits, Sharing
from penstock_token_client.accounting import Charge, Order, Place, Pool, Usage

if TYPE_CHECKING:
    from penstock_token_client.accounting import Waiter

SHARING = Sharing(weights={"a": 1, "b": 3}, hold=0.5, ticket_ttl=2.0)


@dataclass
class Pair:
    """A pool that decides, and one that follows."""

    limits: Limits
    words: list[Charge | Place] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        tell = self.words.append
        options: dict[str, Any] = {"instance": "p", "now": self.now, "sharing": SHARING}
        self.leader = Pool(self.limits, on_change=tell, on_place=tell, **options)
        self.follower = Pool(self.limits, **options)
        self.waiters: list[Waiter] = []
        self.ids: list[str] = []

    def step(self, chance: random.Random) -> None:
        """Do something, and have the follower hear of it."""
        match chance.choice(["ask", "ask", "ask", "report", "release", "step out", "come back", "wait"]):
            case "ask":
                order = Order(chance.choice("ab"), chance.choice([20, 200, 700]), key=chance.choice([None, "k", "l"]))
                order = order._replace(key=order.key and f"{order.key}-{order.app}-{order.tokens}")
                grant = self.leader.grant_now(order, self.now)
                if grant is None:
                    self.waiters.append(self.leader.queue.join(order, self.now, home=chance.choice("xy")))
                else:
                    self.ids.append(grant.id)
            case "report" if self.ids:
                self.leader.settle(chance.choice(self.ids), Usage(chance.randint(0, 900), 0), self.now)
            case "release" if self.ids:
                self.leader.release(chance.choice(self.ids), self.now)
            case "step out" if self.waiters:
                self.leader.queue.step_out(chance.choice(self.waiters), self.now)
            case "come back" if self.waiters:
                waiter = chance.choice(self.waiters)
                self.leader.queue.join(waiter.order, self.now, waiter.ticket)
            case "wait":
                self.now += chance.choice([0.1, 1.0, 3.0])
        for waiter, grant in self.leader.grants(self.now):
            self.ids.append(grant.id)
            self.waiters = [other for other in self.waiters if other is not waiter]
        self.leader.queue.wake_at(self.now)
        self.follow()

    def follow(self) -> None:
        """Hear what was said."""
        for word in self.words:
            if isinstance(word, Charge):
                self.follower.follow(word, self.now)
            else:
                self.follower.queue.follow_place(word)
        self.words.clear()
        self.follower.queue.follow(self.leader.queue.turns())

    def standing(self, pool: Pool) -> object:
        """Return how a pool stands."""
        charges = sorted(pool.ledger.charges(self.now))
        sums = pool.ledger.tokens, pool.ledger.requests, pool.ledger.open_tokens
        places = sorted(
            (waiter.place() for waiter in pool.queue._places.by_ticket.values()), key=lambda place: place.ticket
        )
        return charges, sums, places, pool.queue.turns(), pool.queue.wake_at(self.now)


@pytest.mark.parametrize("settle", ["judged", "actual"])
@pytest.mark.parametrize("seed", range(10))
def test_a_pool_that_follows_another_stands_as_it_stands(seed: int, settle: Any) -> None:
    limits = Limits(tpm=1000, rpm=40, window=8.0, sub_window=1.0, headroom=0.0, settle=settle)
    pair, chance = Pair(limits), random.Random(seed)

    for _ in range(150):
        pair.step(chance)

        assert pair.standing(pair.follower) == pair.standing(pair.leader)


def test_what_a_pool_has_heard_already_changes_nothing() -> None:
    told: list[Charge] = []
    leader = Pool(Limits(tpm=1000, rpm=40, headroom=0.0), instance="p", now=0.0, on_change=told.append)
    follower = Pool(Limits(tpm=1000, rpm=40, headroom=0.0), instance="p", now=0.0)
    grant = leader.grant_now(Order("a", 300), 0.0)
    assert grant is not None
    leader.settle(grant.id, Usage(400, 0), 1.0)

    for charge in [*told, *told, told[0]]:
        follower.follow(charge, 1.0)

    assert (follower.ledger.tokens, follower.ledger.requests, follower.ledger.open_tokens) == (400, 1, 0)
