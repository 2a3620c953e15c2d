"""Who may pass a head that does not fit yet: only an order that provably does not move the head's start.

This is EASY backfilling (Lifka, "The ANL/IBM SP Scheduling System", 1995), for three resources at once: the tokens
and requests of the window, the requests of the sub-window, and the spacing of starts. When the head starts, and what is
left over beside it then, follows from the ledger; whoever fits now, and into what is left over, takes nothing from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ._ledger import Ledger, Order


@dataclass(frozen=True, slots=True)
class Slack:
    """When the head starts, and what is left over beside it at that moment.

    Attributes:
        opens: When it starts.
        tokens: Tokens of the window that are left over.
        requests: Requests of the window.
        starts: Requests of the sub-window.
        most_tokens: An estimate above which nothing passes, so that most of those who wait need no closer look.
    """

    opens: float
    tokens: int
    requests: int
    starts: int
    most_tokens: float

    @classmethod
    def beside(cls, head: Order, opens: float, ledger: Ledger, now: float) -> Self:
        """Look ahead to the head's start, as if nothing else were granted until then."""
        tokens, requests, starts = ledger.room(opens, now)
        tokens -= ledger.cost(head)
        most = tokens / min(ledger.terms.prompt_rate, 1.0)
        return cls(opens, tokens, requests - head.requests, starts - head.requests, most)

    def admits(self, ledger: Ledger, not_before: float, now: float) -> bool:
        """Tell whether anybody at all could start before the head without being in its way."""
        return self.tokens >= 0 and self.requests > 0 and max(now, not_before) + ledger.terms.gap <= self.opens

    def passes_at(self, order: Order, ledger: Ledger, not_before: float, now: float) -> float | None:
        """Return the first time at which an order may start before the head, or None if it has to wait.

        Later it will not do either: what it takes of the spacing and the sub-window then reaches beyond the head.
        """
        if ledger.cost(order) > self.tokens or order.requests > self.requests or ledger.holds(order, now):
            return None
        start = max(now, not_before, ledger.earliest(order, now))
        if start + ledger.terms.gap * order.requests > self.opens:
            return None
        paced_until = start + ledger.terms.pace
        return start if paced_until <= self.opens or order.requests <= self.starts else None
