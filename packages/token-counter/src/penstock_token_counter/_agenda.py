"""What one counter is to decide at a shared pool, and what becomes of it: it is told in time, or decided anew.

A grant that was kept late would reach Azure later than it is charged for, so it is taken back instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._decision import errand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock_token_client.accounting import Grant

    from ._decision import Decision
    from ._replica import Replica
    from ._shared_polls import SharedPolls
    from ._store_clock import StoreClock
    from ._words import Granted


class Agenda:
    """Holds what is to be decided in the next turn.

    Args:
        replica: The pool, as it is known here.
        polls: Those who wait here.
        counter: This counter's name.
        clock: The store's clock.
        in_time: Seconds within which a grant must be kept and told.
        wake: Called when there is something to decide.
    """

    def __init__(
        self,
        replica: Replica,
        polls: SharedPolls,
        *,
        counter: str,
        clock: StoreClock,
        in_time: float,
        wake: Callable[[], None],
    ) -> None:
        self._replica = replica
        self._polls = polls
        self._counter = counter
        self._clock = clock
        self._in_time = in_time
        self._wake = wake
        self._decisions: list[Decision[Any, Any]] = []

    def __len__(self) -> int:
        """Return how much there is to decide."""
        return len(self._decisions)

    def add(self, decision: Decision[Any, Any]) -> None:
        """Have something decided in the next turn."""
        self._decisions.append(decision)
        self._wake()

    def take_back(self, grant: Grant, ticket: str | None) -> None:
        """Have a grant released that its caller never got, and its place kept if it had one."""
        self.add(errand(lambda now: self._replica.take_back(grant, ticket, now)))

    def take(self) -> list[Decision[Any, Any]]:
        """Hand over what is to be decided now."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def put_back(self, decisions: Iterable[Decision[Any, Any]]) -> None:
        """Have what was not kept decided before all else."""
        self._decisions[:0] = decisions

    def tell(self, decisions: Iterable[Decision[Any, Any]], now: float) -> None:
        """Tell what was decided and kept, but for grants that are late."""
        late = self._is_late(now)
        for decision in decisions:
            grant = decision.grant
            if grant is None or not late or decision.future.done():
                decision.tell()
                continue
            if not grant.renewed:
                self.take_back(grant, None)
            self.add(decision)

    def deliver(self, word: Granted, grant: Grant) -> None:
        """Tell a caller who polls here of its grant, or take it back."""
        if word.home != self._counter:
            return
        if not self._polls.deliver(word, grant, late=self._is_late(grant.at)) and not word.renewed:
            self.take_back(grant, word.ticket)

    def _is_late(self, at: float) -> bool:
        """Tell whether what was granted at a time would reach Azure too late."""
        return self._clock.latest() - at > self._in_time
