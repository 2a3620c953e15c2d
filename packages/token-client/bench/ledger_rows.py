"""The rows of `ledger.py` that are ours, and the bound: a deque that only remembers what is charged."""

import itertools
from collections import deque
from collections.abc import Iterator

from pair_timing import Run, serve

from penstock_token_client import Limits, Sharing
from penstock_token_client.accounting import Gate, Order

LIVE = 60_000
"""Grants in the window, at any moment of the measurement."""

COST = 1216
APPS = ("feedback", "search", "chat", "batch")
LIMITS = Limits(tpm=4 * LIVE * COST, rpm=4 * LIVE)
SHARING = Sharing(weights={"feedback": 3, "search": 2})


class Ticking:
    """A clock that moves on so that the window always holds as many grants."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = (LIMITS.window + LIMITS.margin) / LIVE

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def wishes(cost: int, *, keyed: bool) -> Iterator[Order]:
    """Make orders of several apps in turn, each under a key of its own if asked to."""
    for number, app in zip(itertools.count(), itertools.cycle(APPS)):
        yield Order(app=app, tokens=cost, requests=1, key=f"{number:032x}" if keyed else None)


def pairs(cost: int, *, keyed: bool) -> Run:
    """Reserve and settle where there is room; whatever the line and the ledger look at, they look at."""
    clock = Ticking()
    gate = Gate(LIMITS, sharing=SHARING, clock=clock)
    orders = wishes(cost, keyed=keyed)

    def run(count: int) -> None:
        for order in itertools.islice(orders, count):
            clock.now += clock.step
            grant = gate.try_now(order)
            if grant is None or not gate.settle(grant.id, 900):
                raise RuntimeError("there is always room here, and every grant is known")

    run(LIVE + 1000)
    if gate.ledger.requests not in range(LIVE - 10, LIVE + 10):
        raise RuntimeError(f"the window holds {gate.ledger.requests} grants")
    return run


def all_features() -> Run:
    """Measure what a counter does for a lock and its report, and what `LocalQuota` does."""
    return pairs(COST, keyed=True)


def cost_one() -> Run:
    """Measure without keys, and with the cost that is cheapest for everybody."""
    return pairs(1, keyed=False)


def through_the_line() -> Run:
    """Measure with a hundred callers who wait, four apps by weight, and room for one more at a time."""
    limits = Limits(tpm=LIVE * COST, rpm=4 * LIVE, headroom=0.0)
    clock = Ticking()
    gate = Gate(limits, sharing=SHARING, clock=clock)
    orders = wishes(COST, keyed=True)
    for order in itertools.islice(orders, LIVE):
        clock.now += clock.step
        gate.try_now(order)
    for order in itertools.islice(orders, 100):
        gate.queue.join(order, clock.now)

    def run(count: int) -> None:
        started = 0
        while started < count:
            clock.now += clock.step
            for _, grant in gate.queue.grants(clock.now):
                gate.ledger.settle(grant.id, 900, clock.now)
                gate.queue.join(next(orders), clock.now)
                started += 1

    return run


def bare_deque() -> Run:
    """Measure the least that any exact log does: append, sum, and drop what is old."""
    clock = Ticking()
    log: deque[list[float]] = deque()
    span = LIMITS.window + LIMITS.margin
    used = 0.0

    def run(count: int) -> None:
        nonlocal used
        for _ in range(count):
            clock.now += clock.step
            now = clock()
            while log and log[0][0] <= now:
                used -= log.popleft()[1]
            if used + COST <= LIMITS.tpm:
                entry = [now + span, COST]
                log.append(entry)
                used += COST
                entry[1] = COST  # what settling by judged use leaves

    run(LIVE)
    return run


if __name__ == "__main__":
    serve(
        {
            "all features": all_features,
            "cost 1, no keys": cost_one,
            "through the line": through_the_line,
            "bare deque": bare_deque,
        }
    )
