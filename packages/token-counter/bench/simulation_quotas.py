"""The ways in which peers wait for their log to have room: asking again and again, or in a line on the server."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Generator
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from simulation_delivery import ROUND_TRIP
from simulation_timeline import Alarm, Signal

if TYPE_CHECKING:
    from simulation_judge import Verdict
    from simulation_logs import Entry, Log, SlidingLog
    from simulation_model import Endpoint, Message

Pause = Callable[[float, float], float]
"""Seconds until the next question, by the seconds until there is room and a random number from 0 to 1."""

PASSERS = 200
"""How many of those in a line are looked at when something fits that the head cannot use."""


class _OnLog:
    """What all policies that keep a log do with a report.

    Args:
        endpoint: The world.
        log: What they keep.
        refund: Whether a report lowers the charge to what was used.
        forgive: Whether a rejected request is charged nothing.
    """

    def __init__(self, endpoint: Endpoint, log: Log, *, refund: bool, forgive: bool) -> None:
        self._timeline = endpoint.timeline
        self._random = endpoint.random
        self._log = log
        self._refund = refund
        self._forgive = forgive

    def rejected(self, permit: Entry, verdict: Verdict) -> None:
        """Charge nothing for a rejected request, where that is forgiven."""
        del verdict
        if self._forgive:
            self._log.amend(permit, 0, self._timeline.now)

    def settle(self, permit: Entry, message: Message, max_tokens: int, verdict: Verdict) -> None:
        """Charge what was used, if reports count; more than was charged always."""
        del verdict
        used = message.used(max_tokens)
        if self._refund or used > permit.tokens:
            self._log.amend(permit, used, self._timeline.now)


class Polling(_OnLog):
    """Every worker asks, is denied, sleeps and asks again.

    Args:
        endpoint: The world.
        log: What is asked.
        pause: How long it sleeps.
        refund: As above.
        forgive: As above; None: as ``refund``.
        patience: How many denials it takes before it gives up; None: as many as it takes.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        log: Log,
        *,
        pause: Pause,
        refund: bool,
        forgive: bool | None = None,
        patience: int | None = None,
    ) -> None:
        super().__init__(endpoint, log, refund=refund, forgive=refund if forgive is None else forgive)
        self._pause = pause
        self._patience = patience

    def reserve(self, message: Message, tokens: int) -> Generator[float | Signal, Any, Entry | None]:
        """Ask until there is room."""
        charge = message.prompt + tokens
        denials = 0
        while True:
            yield ROUND_TRIP
            now = self._timeline.now
            opens = self._log.opens(charge, now)
            if opens <= now:
                return self._log.enter(charge, now)
            if denials == self._patience:
                return None
            denials += 1
            yield self._pause(opens - now, self._random.random())


class _Place:
    """One request in a line."""

    __slots__ = ("charge", "granted", "rank")

    def __init__(self, charge: int, rank: tuple[float, int]) -> None:
        self.charge = charge
        self.rank = rank
        self.granted = Signal()


class ServerLine(_OnLog):
    """One line on the server, first come first served or fair between apps; a grant is pushed when there is room.

    Args:
        endpoint: The world.
        log: What the line stands in front of.
        refund: As above, for both.
        fair: Whether apps take turns by their tokens (start-time fair queueing).
        backfill: Whether a later request may pass a head that does not fit, if it cannot delay it (EASY).
    """

    def __init__(
        self, endpoint: Endpoint, log: SlidingLog, *, refund: bool = False, fair: bool = False, backfill: bool = False
    ) -> None:
        super().__init__(endpoint, log, refund=refund, forgive=refund)
        self._sliding = log
        self._fair = fair
        self._backfill = backfill
        self._places: list[_Place] = []
        self._order = count()
        self._finish: Counter[str] = Counter()
        self._virtual = 0
        self._alarm = Alarm(endpoint.timeline, self._pump)

    def reserve(self, message: Message, tokens: int) -> Generator[float | Signal, Any, Entry | None]:
        """Stand in line."""
        yield ROUND_TRIP
        charge = message.prompt + tokens
        place = _Place(charge, (self._start(message.app, charge), next(self._order)))
        bisect.insort(self._places, place, key=lambda place: place.rank)
        # The caller has to wait before it can be answered.
        self._alarm.set(self._timeline.now)
        entry: Entry = yield place.granted
        return entry

    def rejected(self, permit: Entry, verdict: Verdict) -> None:
        """Take the report, and look who fits now."""
        super().rejected(permit, verdict)
        self._pump()

    def settle(self, permit: Entry, message: Message, max_tokens: int, verdict: Verdict) -> None:
        """Take the report, and look who fits now."""
        super().settle(permit, message, max_tokens, verdict)
        self._pump()

    def _start(self, app: str, charge: int) -> int:
        """Return where in virtual time a request starts; all at once where apps do not take turns."""
        if not self._fair:
            return 0
        start = max(self._virtual, self._finish[app])
        self._finish[app] = start + charge
        return start

    def _pump(self) -> None:
        """Grant what fits, and ring again when the head will."""
        now = self._timeline.now
        while self._places:
            opens = self._sliding.opens(self._places[0].charge, now)
            index = 0 if opens <= now else self._passer(opens, now)
            if index is None:
                self._alarm.set(opens)
                return
            self._grant(self._places.pop(index), now)

    def _grant(self, place: _Place, now: float) -> None:
        """Let a request go."""
        self._virtual = max(self._virtual, int(place.rank[0]))
        self._timeline.fire(place.granted, self._sliding.enter(place.charge, now))

    def _passer(self, opens: float, now: float) -> int | None:
        """Return who may pass the head."""
        log = self._sliding
        if not self._backfill or log.pace.free(now) < 2:  # noqa: PLR2004 - one for the passer, one for the head
            return None
        slack = min(log.free_at(opens, now) - self._places[0].charge, log.tpm - log.used)
        later = islice(enumerate(self._places), 1, PASSERS + 1)
        return next((index for index, place in later if place.charge <= slack), None)
