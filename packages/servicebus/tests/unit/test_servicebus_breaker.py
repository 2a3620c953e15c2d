"""The breaker, by example and as a state machine that may do anything in any order."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_servicebus._breaker import Admission, Breaker

GO = Admission(0.0)
PROBE = Admission(0.0, probe=True)


class Hands:
    """A clock with hands that tests turn."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def opened(hands: Hands, failures: int = 3) -> Breaker:
    breaker = Breaker(threshold=3, first_pause=2.0, max_pause=10.0, now=hands)
    for _ in range(failures):
        breaker.failed("QuotaAway")
    return breaker


def test_failures_in_a_row_open_it_and_say_why() -> None:
    hands = Hands()

    before, after = opened(hands, failures=2), opened(hands)

    assert (before.is_open, before.admit()) == (False, GO)
    assert (after.is_open, after.admit()) == (True, Admission(2.0))
    assert (after.status().why, after.status().failures, after.status().next_probe) == ("QuotaAway", 3, 2.0)


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = opened(Hands(), failures=2)

    breaker.succeeded()
    breaker.failed("QuotaAway")

    assert not breaker.is_open


def test_after_the_pause_exactly_one_probe_goes() -> None:
    hands = Hands()
    breaker = opened(hands)

    hands.time = 2.0

    assert breaker.probe_due
    assert [breaker.admit(), breaker.admit()] == [PROBE, Admission(math.inf)]


def test_a_probe_that_fails_doubles_the_pause_up_to_its_limit() -> None:
    hands = Hands()
    breaker = opened(hands)
    pauses = []

    for _ in range(5):
        wait = breaker.admit().wait
        pauses.append(wait)
        hands.time += wait
        assert breaker.admit() == PROBE
        breaker.failed("StillAway", probe=True)

    assert pauses == [2.0, 4.0, 8.0, 10.0, 10.0]
    assert breaker.status().why == "StillAway"


def test_a_probe_waits_as_long_as_it_was_told() -> None:
    breaker = opened(Hands(), failures=2)

    breaker.failed("QuotaAway", retry_after=45.0)

    assert breaker.admit() == Admission(45.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    hands = Hands()
    breaker = opened(hands)
    hands.time = 2.0
    breaker.admit()

    breaker.succeeded()

    assert breaker.admit() == GO
    assert breaker.status().why is None


def test_a_probe_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    hands = Hands()
    breaker = opened(hands)
    hands.time = 2.0
    breaker.admit()

    breaker.withdrew(probe=True)

    assert breaker.admit() == PROBE


def test_stragglers_from_before_do_not_postpone_the_probe() -> None:
    hands = Hands()
    breaker = opened(hands)
    hands.time = 1.5

    breaker.failed("QuotaAway")

    assert breaker.admit() == Admission(0.5)


class BreakerMachine(RuleBasedStateMachine):
    """Work that starts when admitted and ends anyhow, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.hands = Hands()
        self.breaker = Breaker(threshold=3, first_pause=1.0, max_pause=8.0, now=self.hands)
        self.under_way: list[Admission] = []
        self.in_a_row = 0

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.hands.time += seconds

    @rule()
    def ask(self) -> None:
        admission = self.breaker.admit()
        if admission.wait == 0:
            self.under_way.append(admission)
        else:
            assert self.breaker.is_open

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        admission = self._one(data)
        self.in_a_row += 1
        self.breaker.failed("Away", probe=admission.probe)
        if self.in_a_row >= 3:
            assert self.breaker.is_open

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        self._one(data)
        self.in_a_row = 0
        self.breaker.succeeded()
        self.under_way = [Admission(0.0) for _ in self.under_way]  # a probe still out decides nothing any more
        assert not self.breaker.is_open

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.breaker.withdrew(probe=self._one(data).probe)

    def _one(self, data: st.DataObject) -> Admission:
        return self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        assert sum(admission.probe for admission in self.under_way) <= 1

    @invariant()
    def it_never_waits_forever_without_a_probe(self) -> None:
        if self.breaker.is_open and not any(admission.probe for admission in self.under_way):
            next_probe = self.breaker.status().next_probe
            assert next_probe is not None
            assert next_probe <= 8.0


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
