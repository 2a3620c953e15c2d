"""The line under everything that callers do, against an oracle that knows only what was granted when.

I6: a head is granted at or before the start that is computed when it becomes head. I7: over any interval in which two
apps wait, what one gets in its turn exceeds what the other gets by at most one largest order of each, by weight.
"""

from __future__ import annotations

import bisect
import math
from itertools import permutations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_token_client.accounting import Grant, Ledger, Limits, Order, Sharing, Waiter, WaitQueue

SIXTEENTH = 1 / 16
LIMITS = Limits(tpm=1000, rpm=48, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
GAP = 0.1875  # (1 + 0.125) / BURST
BURST = 6
SPAN = 8.25
PACE = 1.125
HOLD = 0.25
TTL = 5.0
WEIGHTS = {"a": 1.0, "b": 4.0, "c": 1.0}
SHARING = Sharing(weights={"a": 1, "b": 4}, hold=HOLD, ticket_ttl=TTL)


class QueueMachine(RuleBasedStateMachine):
    """Callers of three apps come, vanish, come back and give up, and a gate grants whenever the line says so."""

    @initialize()
    def start(self) -> None:
        self.ledger = Ledger(LIMITS, instance="test")
        self.line = WaitQueue(self.ledger, instance="test", sharing=SHARING)
        self.now = 0.0
        self.model: list[Waiter] = []
        self.fresh: list[tuple[Waiter, Grant]] = []
        self.absent: dict[Waiter, float] = {}
        self.granted: list[tuple[float, Order]] = []
        self.next_start = -math.inf
        self.promise: tuple[Waiter, float] | None = None
        self.lead = dict.fromkeys(permutations(WEIGHTS, 2), 0.0)
        self.largest = dict.fromkeys(WEIGHTS, 0)

    @rule(
        app=st.sampled_from(sorted(WEIGHTS)),
        tokens=st.sampled_from([20, 60, 100, 120, 450, 700, 1000]),
        requests=st.sampled_from([1, 1, 1, 2, 4]),
        callers=st.integers(1, 12),
    )
    def arrive(self, app: str, tokens: int, requests: int, callers: int) -> None:
        for _ in range(callers):
            order = Order(app=app, tokens=tokens, requests=requests)
            self.largest[app] = max(self.largest[app], tokens)
            self.model.append(self.line.join(order, self.now))
        self.pump()

    @rule(app=st.sampled_from(sorted(WEIGHTS)), seconds=st.sampled_from([0.25, 8.0, 30.0]))
    def a_crowd_arrives(self, app: str, seconds: float) -> None:
        self.arrive(app, tokens=60, requests=1, callers=40)
        self.time_passes(seconds)

    @rule(app=st.sampled_from(sorted(WEIGHTS)), tokens=st.integers(1, 300))
    def ask_without_waiting(self, app: str, tokens: int) -> None:
        order = Order(app=app, tokens=tokens)
        somebody_waits = self.line.head(self.now) is not None
        grant = self.line.grant_now(order, self.now)
        assert (grant is not None) == (not somebody_waits and self.fits_at(order, self.now))
        if grant is not None:
            self.granted.append((self.now, order))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def step_out(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.model))
        if waiter not in self.absent:
            self.line.step_out(waiter, self.now)
            self.absent[waiter] = self.now
            self.pump()

    @precondition(lambda self: any(grant.at == self.now for _, grant in self.fresh))
    @rule(data=st.data())
    def lose_an_answer(self, data: st.DataObject) -> None:
        waiter, grant = taken = data.draw(st.sampled_from([taken for taken in self.fresh if taken[1].at == self.now]))
        self.fresh.remove(taken)
        self.line.put_back(waiter, self.now)
        self.ledger.release(grant.id, self.now)
        self.granted.remove((self.now, waiter.order))
        bisect.insort(self.model, waiter, key=lambda other: other.rank)
        self.absent[waiter] = self.now
        self.pump()

    @precondition(lambda self: self.absent)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(sorted(self.absent, key=self.model.index)))
        place = self.line.join(waiter.order, self.now, waiter.ticket)
        since = self.absent.pop(waiter)
        assert (place is waiter) == (self.now < since + TTL)
        if place is not waiter:
            self.model.remove(waiter)
            self.model.append(place)
        self.pump()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.model))
        self.line.leave(waiter)
        self.model.remove(waiter)
        self.absent.pop(waiter, None)
        self.pump()

    @rule(sixteenths=st.integers(1, 30))
    def the_timer_is_late(self, sixteenths: int) -> None:
        self.now += sixteenths * SIXTEENTH
        self.promise = None
        self.pump()

    @rule(seconds=st.sampled_from([0.25, 1.0, 8.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (wake_at := self.line.wake_at(self.now)) is not None and wake_at <= until:
            assert wake_at > self.now
            self.now = wake_at
            self.pump()
        self.now = until
        self.pump()

    @invariant()
    def those_who_are_there_are_counted(self) -> None:
        assert len(self.line) == len(self.model) - len(self.absent)

    @invariant()
    def somebody_heads_the_line_while_anybody_is_there(self) -> None:
        head = self.line.head(self.now)
        assert (head is None) == (self.line.wake_at(self.now) is None)
        assert head is not None or len(self.model) == len(self.absent)

    def pump(self) -> None:
        """Do what the gate does, and check every grant."""
        grants = self.line.grants(self.now)
        self.note_who_waits()
        self.watch_the_head()
        while True:
            head = self.line.head(self.now)
            taken = next(grants, None)
            if taken is None:
                break
            self.fresh.append(taken)
            self.check_grant(taken[0], in_turn=taken[0] is head)
            self.note_who_waits()
            self.watch_the_head()

    def check_grant(self, waiter: Waiter, *, in_turn: bool) -> None:
        """Whoever's turn it is came first of its app; all are within the limits, spaced, and in due proportion."""
        order = waiter.order
        earlier = [other for other in self.model[: self.model.index(waiter)] if other.order.app == order.app]
        assert waiter not in self.absent
        if in_turn:
            assert all(other in self.absent and self.now >= self.absent[other] + HOLD for other in earlier)
        assert self.now >= self.next_start
        assert self.fits_at(order, self.now)
        self.model.remove(waiter)
        self.granted = [(at, other) for at, other in self.granted if at + SPAN > self.now] + [(self.now, order)]
        self.next_start = self.now + GAP * order.requests
        self.compare_shares(order, in_turn=in_turn)

    def compare_shares(self, order: Order, *, in_turn: bool) -> None:
        """Add to what each app is ahead of each other over the worst interval that ends now (I7)."""
        share = order.tokens / WEIGHTS[order.app]
        for ahead, behind in self.lead:
            if behind == order.app:
                self.lead[ahead, behind] = max(0.0, self.lead[ahead, behind] - share)
            if ahead == order.app and in_turn:
                self.lead[ahead, behind] += share
            largest = (self.largest[app] / WEIGHTS[app] for app in (ahead, behind))
            assert self.lead[ahead, behind] <= sum(largest) + 1e-6

    def note_who_waits(self) -> None:
        """Forget the comparison of two apps as soon as one of them does not wait."""
        waiting = {waiter.order.app for waiter in self.model if waiter not in self.absent}
        for ahead, behind in self.lead:
            if not {ahead, behind} <= waiting:
                self.lead[ahead, behind] = 0.0

    def watch_the_head(self) -> None:
        """Note when a new head will start, and that an old one is not late (I6)."""
        head = self.line.head(self.now)
        if self.promise is not None:
            promised, at = self.promise
            if promised not in self.model or promised in self.absent:
                self.promise = None
            elif head is not promised:
                assert head is not None
                assert head.order.app == promised.order.app
                assert self.model.index(head) < self.model.index(promised)
                self.promise = None
            else:
                assert self.opens(promised.order) <= max(at, self.now)
                assert self.now <= at
        if self.promise is None and head is not None and head not in self.absent:
            self.promise = head, self.opens(head.order)

    def opens(self, order: Order) -> float:
        """Return when an order starts if nothing else is granted, by trying every time at which something changes."""
        times = {self.now, max(self.now, self.next_start)}
        times |= {at + span for at, _ in self.granted for span in (SPAN, PACE) if at + span > self.now}
        return min(at for at in times if at >= self.next_start and self.fits_at(order, at))

    def fits_at(self, order: Order, time: float) -> bool:
        """Tell whether an order fits at a time beside all that was granted."""
        window = [granted for at, granted in self.granted if at + SPAN > time]
        starts = sum(granted.requests for at, granted in self.granted if at + PACE > time)
        return (
            sum(granted.tokens for granted in window) + order.tokens <= LIMITS.tpm
            and sum(granted.requests for granted in window) + order.requests <= LIMITS.rpm
            and starts + order.requests <= BURST
        )


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
