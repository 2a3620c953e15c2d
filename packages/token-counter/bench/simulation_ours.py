"""Our policy: the ledger and the line of token-client as a counter runs them, on the virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation_delivery import ROUND_TRIP, MaxTokens, UnderQuota
from simulation_timeline import Alarm, Signal

from penstock_token_client import Limits
from penstock_token_client.accounting import Grant, Ledger, Order, Waiter, WaitQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from simulation_judge import Rules, Verdict
    from simulation_model import Deliver, Endpoint, Message


def ours(endpoint: Endpoint, rules: Rules, *, limits: Callable[[Rules], Limits]) -> Deliver:
    """Put a counter in front of the endpoint."""
    return UnderQuota(endpoint, CounterQuota(endpoint, limits(rules)), MaxTokens())


def as_deployed(rules: Rules, headroom: float = 0.0) -> Limits:
    """Set a pool up by someone who knows how the endpoint counts."""
    return Limits(tpm=rules.tpm, rpm=rules.rpm, sub_window=rules.sub_window, headroom=headroom)


def by_default(rules: Rules) -> Limits:
    """Set a pool up by someone who knows the limits, and nothing else."""
    return Limits(tpm=rules.tpm, rpm=rules.rpm)


class CounterQuota:
    """One pool of a token counter, without its HTTP: what the gate does, told the virtual time."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._timeline = endpoint.timeline
        self._limits = limits
        self._ledger = Ledger(limits, instance="0", now=0.0)
        self._queue = WaitQueue(self._ledger, instance="0")
        self._signals: dict[Waiter, Signal] = {}
        self._alarm = Alarm(endpoint.timeline, self._pump)

    def reserve(self, message: Message, tokens: int) -> Generator[float | Signal, Any, Grant | None]:
        """Ask once and, where it does not fit, stand in line."""
        yield ROUND_TRIP
        now = self._timeline.now
        order = Order(app=message.app, tokens=self._limits.charge(message.prompt + tokens, tokens))
        grant = self._queue.grant_now(order, now)
        if grant is None:
            signal = self._signals[self._queue.join(order, now)] = Signal()
            self._alarm.set(self._queue.wake_at(now))
            grant = yield signal
        return grant

    def rejected(self, permit: Grant, verdict: Verdict) -> None:
        """Report a rejection."""
        del verdict
        self._ledger.settle(permit.id, 0, self._timeline.now, final=False)
        self._pump()

    def settle(self, permit: Grant, message: Message, max_tokens: int, verdict: Verdict) -> None:
        """Report what was used."""
        del verdict
        self._ledger.settle(permit.id, message.used(max_tokens), self._timeline.now)
        self._pump()

    def _pump(self) -> None:
        """Grant whatever fits, and ring again when something will."""
        now = self._timeline.now
        for waiter, grant in self._queue.grants(now):
            self._timeline.fire(self._signals.pop(waiter), grant)
        self._alarm.set(self._queue.wake_at(now))
