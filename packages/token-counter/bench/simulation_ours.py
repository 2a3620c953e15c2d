"""Our policy: a pool of a token counter - ledger, line and closed loop - on the virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation_delivery import ROUND_TRIP, MaxTokens, UnderQuota
from simulation_timeline import Alarm, Signal

from penstock_token_client import Limits
from penstock_token_client.accounting import Grant, Order, Pool, RateLimit, Usage, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from simulation_judge import Rules, Verdict
    from simulation_model import Deliver, Endpoint, Message

LEARNED = 0.95
"""The part of the answers that a learned ``max_tokens`` is enough for."""


def ours(endpoint: Endpoint, rules: Rules, *, limits: Callable[[Rules], Limits]) -> Deliver:
    """Put a counter in front of the endpoint."""
    counter = Counter(endpoint, rules, Pool(limits(rules), instance="0", now=0.0))
    return UnderQuota(endpoint, counter, Suggested(counter.suggested))


def as_deployed(rules: Rules, *, headroom: float = 0.0, learn_max_tokens: float | None = None) -> Limits:
    """Set a pool up as someone does who knows how the endpoint counts."""
    return Limits(
        tpm=rules.tpm,
        rpm=rules.rpm,
        sub_window=rules.sub_window,
        headroom=headroom,
        learn_max_tokens=learn_max_tokens,
    )


def by_use(rules: Rules) -> Limits:
    """Set a pool up as someone does who knows, too, that the endpoint refunds."""
    return Limits(tpm=rules.tpm, rpm=rules.rpm, sub_window=rules.sub_window, headroom=0.0, settle="actual")


def by_default(rules: Rules) -> Limits:
    """Set a pool up as someone does who knows the limits, and nothing else."""
    return Limits(tpm=rules.tpm, rpm=rules.rpm)


class Suggested(MaxTokens):
    """What the counter suggested last.

    Args:
        suggested: By app.
    """

    def __init__(self, suggested: dict[str, int | None]) -> None:
        self._suggested = suggested

    def choose(self, message: Message) -> tuple[int, int]:
        """Reserve and send what is suggested, but no more than the message asks for."""
        tokens = min(message.max_tokens, self._suggested.get(message.app) or message.max_tokens)
        return tokens, tokens


class Counter:
    """A token counter without its HTTP: what its gate does, told the virtual time.

    Args:
        endpoint: The world.
        rules: The endpoint's limits, which its headers tell.
        pool: What is asked.

    Attributes:
        suggested: The ``max_tokens`` that came with the last grant of each app.
    """

    def __init__(self, endpoint: Endpoint, rules: Rules, pool: Pool) -> None:
        self.suggested: dict[str, int | None] = {}
        self._timeline = endpoint.timeline
        self._rules = rules
        self._pool = pool
        self._signals: dict[Waiter, Signal] = {}
        self._alarm = Alarm(endpoint.timeline, self._pump)

    def reserve(self, message: Message, tokens: int) -> Generator[float | Signal, Any, Grant | None]:
        """Ask once and, where it does not fit, stand in line."""
        yield ROUND_TRIP
        now = self._timeline.now
        order = Order(app=message.app, tokens=message.prompt + tokens, max_tokens=tokens)
        grant = self._pool.grant_now(order, now)
        if grant is None:
            signal = self._signals[self._pool.queue.join(order, now)] = Signal()
            self._alarm.set(self._pool.queue.wake_at(now))
            grant = yield signal
        self.suggested[message.app] = self._pool.suggestion(message.app)
        return grant

    def rejected(self, permit: Grant, verdict: Verdict) -> None:
        """Report a rejection."""
        self._report(permit, Usage(prompt_tokens=0, completion_tokens=0, status="429", ratelimit=self._told(verdict)))

    def settle(self, permit: Grant, message: Message, max_tokens: int, verdict: Verdict) -> None:
        """Report what was used."""
        usage = Usage(
            prompt_tokens=message.prompt,
            completion_tokens=min(message.completion, max_tokens),
            status="truncated" if message.truncated(max_tokens) else "ok",
            ratelimit=self._told(verdict),
        )
        self._report(permit, usage)

    def _report(self, permit: Grant, usage: Usage) -> None:
        """Tell the pool, and look who fits now."""
        self._pool.settle(permit.id, usage, self._timeline.now)
        self._pump()

    def _pump(self) -> None:
        """Grant whatever fits, and ring again when something will."""
        now = self._timeline.now
        for waiter, grant in self._pool.grants(now):
            self._timeline.fire(self._signals.pop(waiter), grant)
        self._alarm.set(self._pool.queue.wake_at(now))

    def _told(self, verdict: Verdict) -> RateLimit:
        """Return what the answer's headers say."""
        return RateLimit(
            limit_tokens=self._rules.tpm,
            limit_requests=self._rules.rpm,
            remaining_tokens=verdict.remaining_tokens,
            remaining_requests=verdict.remaining_requests,
            retry_after_ms=None if verdict.charge is not None else round(1000 * verdict.retry_after),
        )
