"""Everything that is decided about one pool: its ledger, the line in front of it, and what reports teach.

Synchronous, and told the time: a gate wakes those who wait, a simulation turns its own clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._ledger import Ledger
from ._loop import ClosedLoop
from ._queue import WaitQueue
from ._totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._grant import Charge, Grant, Order
    from ._limits import Limits
    from ._loop import Lesson
    from ._places import Place
    from ._queue import Waiter
    from ._sharing import Sharing
    from ._usage import Usage


class NeverFitsError(ValueError):
    """Raised when an order is larger than the whole pool."""


class KeyReusedError(ValueError):
    """Raised when a key that names one order comes with another."""


class Pool:
    """One pool, which is one deployment.

    Args:
        limits: The pool's limits.
        instance: Text that no other pool's process uses; ids and tickets begin with it.
        now: The time at which it opens.
        epoch: What to add to the times told here to get seconds that mean the same in every process.
        assume_full: Grant nothing for one window, because nobody knows what was granted before.
        sharing: How those who wait share the pool; None: all apps alike.
        on_change: Is told of each change of a grant, as by `Ledger`.
        on_place: Is told of each change of a place in the line, as by `WaitQueue`.

    Attributes:
        ledger: What is charged.
        queue: Who waits.
        loop: What is learned.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        instance: str,
        now: float,
        epoch: float = 0.0,
        assume_full: bool = False,
        sharing: Sharing | None = None,
        on_change: Callable[[Charge], None] | None = None,
        on_place: Callable[[Place], None] | None = None,
    ) -> None:
        self.instance = instance
        self.ledger = Ledger(limits, instance=instance, on_change=on_change)
        self.queue = WaitQueue(
            self.ledger, instance=instance, sharing=sharing, opened=now, epoch=epoch, on_place=on_place
        )
        self.loop = ClosedLoop(limits)
        self._totals = Totals()
        if assume_full:
            self.fill(now)

    def restore(self, charges: Iterable[Charge], lesson: Lesson | None, now: float) -> None:
        """Take over what another process granted and learned, before anything is granted here."""
        if lesson is not None:
            self.loop.restore(lesson)
            self.loop.look(self.ledger, now)
            self.ledger.gone_until = lesson.gone_until
        self.ledger.restore(charges, now)
        if self.ledger.requests:
            self.loop.blind(now)

    def lesson(self) -> Lesson:
        """Return what `restore` takes, beside the charges."""
        return self.loop.lesson(self.ledger.gone_until)

    def follow(self, charge: Charge, now: float) -> None:
        """Take over how a grant stands by the word of another process, which decides on the same pool."""
        before = self.ledger.named(charge.id, now)
        was_open = before is not None and before.state == "open"
        grant = self.ledger.follow(charge)
        if before is None and grant.state == "open":
            self.loop.granted(grant)
            self._totals.add(grant)
        elif was_open and grant.state == "released":
            self.loop.released(grant)

    def fill(self, now: float) -> None:
        """Charge the whole window, because nobody knows what was granted before ``now``."""
        self.ledger.fill(now)
        self.loop.blind(now)

    def grant_now(self, order: Order, now: float) -> Grant | None:
        """Grant the order if it fits and nobody waits.

        Raises:
            NeverFitsError: It is larger than the whole pool.
            KeyReusedError: Its key names another order.
        """
        self.loop.look(self.ledger, now)
        grant = self.ledger.grant_at_a_glance(order, now) if self.queue.idle else None
        if grant is None:
            self._check(order, now)
            grant = self.queue.grant_now(order, now)
        return None if grant is None else self._note(grant)

    def grants(self, now: float) -> Iterator[tuple[Waiter, Grant]]:
        """Grant to those who wait, for as long as somebody fits."""
        self.loop.look(self.ledger, now)
        for waiter, grant in self.queue.grants(now):
            yield waiter, self._note(grant)

    def settle(self, grant_id: str, usage: Usage, now: float) -> bool:
        """Take the report of a request, and learn from the first; tell whether its grant is known."""
        grant = self.ledger.named(grant_id, now)
        if grant is not None and grant.state == "open":
            self.ledger.close(grant, usage.tokens, final=usage.final)
            self._learn(grant, usage, now)
        return grant is not None

    def learn(self, grant_id: str, usage: Usage, now: float) -> None:
        """Learn from the first report of a request, which another process took."""
        grant = self.ledger.named(grant_id, now)
        if grant is not None:
            self._learn(grant, usage, now)

    def release(self, grant_id: str, now: float) -> bool:
        """Take back a grant whose request was never sent; tell whether it is known."""
        grant = self.ledger.named(grant_id, now)
        if grant is not None and grant.state == "open":
            self.ledger.release(grant_id, now)
            self.loop.released(grant)
        return grant is not None

    def suggestion(self, app: str) -> int | None:
        """Return a ``max_tokens`` that is usually enough for an app's answers, if it would help to send it."""
        return self.loop.suggestion(app, self.ledger)

    def status(self, now: float) -> dict[str, Any]:
        """Return how the pool stands, in the words of the wire."""
        self.loop.look(self.ledger, now)
        ledger, limits = self.ledger, self.ledger.limits
        terms, expiry = ledger.terms, ledger.next_expiry(now)
        return {
            "available_tokens": max(0, terms.tpm - ledger.tokens),
            "used_tokens": ledger.tokens - ledger.open_tokens,
            "locked_tokens": ledger.open_tokens,
            "available_requests": max(0, terms.rpm - ledger.requests),
            "reset_time_seconds": 0.0 if expiry is None else round(expiry - now, 3),
            "tpm": limits.tpm,
            "rpm": limits.rpm,
            "effective_tpm": terms.tpm,
            "effective_rpm": terms.rpm,
            "settle": limits.settle,
            "waiting": len(self.queue),
            "queue": self.queue.depths(),
            "granted": ledger.granted,
            "unreported": ledger.unreported,
            "instance": self.instance,
            "apps": self._totals.facts(self.queue.waits(now)),
            **self.loop.facts(now),
        }

    def _check(self, order: Order, now: float) -> None:
        """Refuse an order that cannot be granted, however long it waits."""
        if not self.ledger.can_ever_fit(order):
            raise NeverFitsError
        held = self.ledger.find(order.app, order.key, now)
        if held is not None and held.order != order:
            raise KeyReusedError

    def _learn(self, grant: Grant, usage: Usage, now: float) -> None:
        """Learn from a report."""
        if usage.final:
            self.loop.answered(grant, usage, now)
        else:
            self.loop.failed(grant, usage, now)
        self.loop.look(self.ledger, now)

    def _note(self, grant: Grant) -> Grant:
        """Count a grant that is about to be sent."""
        if not grant.renewed:
            self.loop.granted(grant)
            self._totals.add(grant)
        return grant
