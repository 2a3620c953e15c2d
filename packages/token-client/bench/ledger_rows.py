"""The rows of `ledger.py` that are ours, and the bound: a deque that only remembers what is charged."""

import itertools
import math
from collections import deque
from collections.abc import Iterator

from pair_timing import Run, serve

from penstock_token_client import Limits, Sharing
from penstock_token_client.accounting import Order, Pool, RateLimit, Usage

LIVE = 60_000
"""Grants in the window, at any moment of the measurement."""

APPS = ("feedback", "search", "chat", "batch")
SHARING = Sharing(weights={"feedback": 3, "search": 2})
PROMPT, MAX_TOKENS = 800, 400
COST = math.ceil(PROMPT * 1.02) + MAX_TOKENS
STEP = 60.25 / LIVE
"""Seconds between two grants that keep the window as full."""

Orders = Iterator[Order]


def roomy() -> Limits:
    """Return limits that never bind, and everything that can be switched on."""
    return Limits(tpm=4 * LIVE * COST, rpm=4 * LIVE, learn_max_tokens=0.95)


def pool_of(limits: Limits) -> Pool:
    """Return a pool of several apps by weight."""
    return Pool(limits, instance="bench", now=0.0, sharing=SHARING)


def wishes() -> Orders:
    """Make orders of several apps in turn, each under a key of its own."""
    for number, app in zip(itertools.count(), itertools.cycle(APPS)):
        yield Order(app=app, tokens=PROMPT + MAX_TOKENS, max_tokens=MAX_TOKENS, key=f"{number:032x}")


def cheap_wishes() -> Orders:
    """Make orders of one token, without keys."""
    while True:
        yield Order(app="feedback", tokens=1)


def usages(limits: Limits) -> Iterator[Usage]:
    """Make reports of answers of several lengths, with what the endpoint says is left."""
    told = [RateLimit(limit_tokens=limits.tpm, remaining_tokens=limits.tpm - LIVE * COST - n) for n in range(61)]
    for number, ratelimit in zip(itertools.cycle(range(97)), itertools.cycle(told)):
        yield Usage(prompt_tokens=PROMPT, completion_tokens=100 + number, ratelimit=ratelimit)


def pairs(orders: Orders) -> Run:
    """Reserve and settle where there is room, as a counter does for a lock and its report."""
    pool = pool_of(roomy())
    reports = usages(roomy())
    now = 0.0

    def run(count: int) -> None:
        nonlocal now
        for order, usage in zip(itertools.islice(orders, count), reports, strict=False):
            now += STEP
            grant = pool.grant_now(order, now)
            if grant is None or not pool.settle(grant.id, usage, now):
                raise RuntimeError("there is always room here, and every grant is known")
            for _ in pool.grants(now):
                raise RuntimeError("nobody waits here")

    run(LIVE + 1000)
    if abs(pool.ledger.requests - LIVE) > 1:
        raise RuntimeError(f"the window holds {pool.ledger.requests} grants")
    return run


def through_the_line() -> Run:
    """Reserve and settle with a hundred callers who wait, four apps by weight, and room for one more at a time."""
    limits = Limits(tpm=LIVE * COST, rpm=4 * LIVE)
    pool, orders, reports = pool_of(limits), wishes(), usages(limits)
    now = 0.0
    for order in itertools.islice(orders, LIVE):
        now += STEP
        pool.grant_now(order, now)
    for order in itertools.islice(orders, 100):
        pool.queue.join(order, now)

    def run(count: int) -> None:
        nonlocal now
        started = 0
        while started < count:
            now += STEP
            for _, grant in pool.grants(now):
                pool.settle(grant.id, next(reports), now)
                pool.queue.join(next(orders), now)
                started += 1

    return run


def bare_deque() -> Run:
    """Do the least that any exact log does: drop what is old, look whether it fits, append."""
    log: deque[tuple[float, int]] = deque()
    now, used = 0.0, 0

    def run(count: int) -> None:
        nonlocal now, used
        for _ in range(count):
            now += STEP
            while log and log[0][0] <= now:
                used -= log.popleft()[1]
            if used + COST <= LIVE * COST * 4:
                log.append((now + 60.25, COST))
                used += COST

    run(LIVE)
    return run


if __name__ == "__main__":
    serve(
        {
            "all features": lambda: pairs(wishes()),
            "through the line": through_the_line,
            "cost 1, no keys": lambda: pairs(cheap_wishes()),
            "bare deque": bare_deque,
        }
    )
