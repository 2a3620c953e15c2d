"""The rows of `ledger.py` that are ours, and the bound: a deque that only remembers what is charged."""

import itertools
import math
from collections import deque
from collections.abc import Iterator

from pair_timing import Run, serve

from penstock_token_client import Limits, Sharing
from penstock_token_client.accounting import ClosedLoop, Gate, Grant, Ledger, Order, RateLimit, Usage

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


def wishes() -> Orders:
    """Return orders of several apps in turn, under keys that come back only when their grants have left the window.

    They are made beforehand, and so are the reports: what is measured is what becomes of them.
    """
    numbered = zip(range(2 * LIVE), itertools.cycle(APPS), strict=False)
    return itertools.cycle(
        [Order(app=app, tokens=PROMPT + MAX_TOKENS, max_tokens=MAX_TOKENS, key=f"{n:032x}") for n, app in numbered]
    )


def cheap_wishes() -> Orders:
    """Return orders of one token, without keys."""
    return itertools.repeat(Order(app="feedback", tokens=1))


def usages(limits: Limits) -> Iterator[Usage]:
    """Return reports of answers of several lengths, with what an endpoint would say is left of a window as full."""
    left = limits.tpm - LIVE * (PROMPT + MAX_TOKENS)
    told = [RateLimit(limit_tokens=limits.tpm, remaining_tokens=max(1, left + n)) for n in range(61)]
    numbered = zip(range(97 * 61), itertools.cycle(told), strict=False)
    return itertools.cycle(
        [Usage(prompt_tokens=PROMPT, completion_tokens=100 + n % 97, ratelimit=ratelimit) for n, ratelimit in numbered]
    )


class Ticking:
    """A clock that its owner moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def filled(limits: Limits, orders: Orders) -> tuple[Gate, Ticking]:
    """Return a gate whose window holds as many grants as it is to hold, and its clock."""
    clock = Ticking()
    gate = Gate(limits, sharing=SHARING, clock=clock)
    for order in itertools.islice(orders, LIVE):
        clock.now += STEP
        grant = gate.try_now(order)
        if grant is None or not gate.settle(grant.id, Usage(prompt_tokens=order.tokens, completion_tokens=0)):
            raise RuntimeError("there is room for so many, and every grant is known")
    return gate, clock


def pairs(orders: Orders) -> Run:
    """Reserve and settle where there is room, as a counter does for a lock and its report."""
    gate, clock = filled(roomy(), orders)
    reports = usages(roomy())

    def run(count: int) -> None:
        for order, usage in zip(itertools.islice(orders, count), reports, strict=False):
            clock.now += STEP
            grant = gate.try_now(order)
            if grant is None or not gate.settle(grant.id, usage):
                raise RuntimeError("there is always room here, and every grant is known")
        ledger = gate.pool.ledger
        ledger.next_expiry(clock.now)  # drops what has left the window
        if abs(ledger.requests - LIVE) > 1:
            raise RuntimeError(f"the window holds {ledger.requests} grants")

    run(LIVE // 2)  # by then the closed loop has found its terms, and charges what is in the window by them
    return run


def one_function() -> Run:
    """Do the same in one function without a call that can be spared: the bound of what layers may cost.

    It keeps what a ledger has to keep (the log, the sub-window, ids, keys, sums, totals by app) and lets the closed
    loop learn from it; everything that only matters when something is wrong is left out.
    """
    limits = roomy()
    orders, reports, loop, totals = wishes(), usages(limits), ClosedLoop(limits), dict.fromkeys(APPS, 0)
    ledger = Ledger(limits, instance="bound")  # only for the loop to look at
    log: deque[Grant] = deque()
    recent: deque[Grant] = deque()
    by_id: dict[str, Grant] = {}
    by_key: dict[tuple[str, str | None], Grant] = {}
    now = 0.0
    tokens = requests = open_tokens = recent_requests = granted = 0

    def run(count: int) -> None:
        nonlocal now, tokens, requests, open_tokens, recent_requests, granted
        terms = ledger.terms
        tpm, rpm, burst, span, pace, rate = terms.tpm, terms.rpm, terms.burst, terms.span, terms.pace, terms.prompt_rate
        for order, usage in zip(itertools.islice(orders, count), reports, strict=False):
            now += STEP
            while recent and recent[0].at + pace <= now:
                recent_requests -= recent.popleft().requests
            while log and log[0].at + span <= now:
                old = log.popleft()
                tokens -= old.tokens
                requests -= old.requests
                del by_id[old.id]
                del by_key[old.order.app, old.order.key]
            loop.look(ledger, now)
            app, key = order.app, (order.app, order.key)
            cost = math.ceil((order.tokens - order.max_tokens) * rate) + order.max_tokens
            fits = tokens + cost <= tpm and requests < rpm and recent_requests < burst
            if fits and terms.paused_until <= now and key not in by_key:
                granted += 1
                grant = Grant(f"bound-{granted}", order, now, cost)
                log.append(grant)
                recent.append(grant)
                by_id[grant.id] = by_key[key] = grant
                tokens += cost
                open_tokens += cost
                requests += 1
                recent_requests += 1
                totals[app] += cost
                loop.granted(grant)
            grant = by_id[grant.id]
            if grant.state == "open":
                grant.used = usage.prompt_tokens + usage.completion_tokens
                grant.state = "settled"
                open_tokens -= grant.tokens
                loop.answered(grant, usage, now)

    run(LIVE + LIVE // 2)
    return run


def through_the_line() -> Run:
    """Reserve and settle with a hundred callers who wait, four apps by weight, and room for one more at a time."""
    orders = wishes()
    limits = Limits(tpm=LIVE * COST, rpm=4 * LIVE, learn_max_tokens=0.95)
    gate, clock = filled(limits, orders)
    pool, reports = gate.pool, usages(limits)
    for order in itertools.islice(orders, 100):
        pool.queue.join(order, clock.now)

    def run(count: int) -> None:
        started = 0
        while started < count:
            clock.now += STEP
            for _, grant in pool.grants(clock.now):
                pool.settle(grant.id, next(reports), clock.now)
                pool.queue.join(next(orders), clock.now)
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
            "all features, in one function": one_function,
            "through the line": through_the_line,
            "cost 1, no keys": lambda: pairs(cheap_wishes()),
            "bare deque": bare_deque,
        }
    )
