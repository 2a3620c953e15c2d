"""When locks are renewed."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_servicebus._leases import Leases


def held(life: float = 30.0, keep_for: float = 100.0) -> Leases:
    leases = Leases()
    leases.hold(1, now=0.0, life=life, keep_for=keep_for)
    return leases


def test_a_lock_is_due_at_half_of_its_life() -> None:
    leases = held()

    assert leases.next_due(0.0) == 15.0
    assert leases.due(14.9) == []
    assert leases.due(15.0) == [1]


def test_a_renewed_lock_is_due_at_half_of_its_new_life() -> None:
    leases = held()

    leases.renewed(1, now=15.0, life=40.0)

    assert leases.next_due(15.0) == 20.0


def test_a_renewal_that_failed_is_tried_again_at_half_of_what_is_left() -> None:
    leases = held()

    leases.postponed(1, now=15.0)

    assert leases.next_due(15.0) == 7.5


def test_a_lock_that_ran_out_or_is_dropped_is_never_due() -> None:
    expired, dropped = held(), held()
    dropped.drop(1)

    assert expired.due(30.0) == dropped.due(20.0) == []
    assert expired.next_due(30.0) == dropped.next_due(0.0) == math.inf


def test_no_lock_is_kept_longer_than_the_work_may_take() -> None:
    leases = held(keep_for=20.0)
    leases.renewed(1, now=15.0, life=30.0)

    assert leases.next_due(15.0) == math.inf
    assert leases.due(25.0) == []


def test_the_lock_that_expires_first_is_renewed_first() -> None:
    leases = Leases()
    leases.hold(1, now=0.0, life=30.0, keep_for=100.0)
    leases.hold(2, now=0.0, life=20.0, keep_for=100.0)

    assert leases.due(16.0) == [2, 1]


@settings(max_examples=40)
@given(st.floats(5.0, 300.0), st.floats(10.0, 3600.0))
def test_whoever_renews_when_due_never_loses_a_lock_while_the_work_may_take(life: float, keep_for: float) -> None:
    leases = held(life=life, keep_for=keep_for)
    now, expires = 0.0, life

    while (wait := leases.next_due(now)) < math.inf:
        now += wait
        assert now < expires
        assert leases.due(now) == [1]
        leases.renewed(1, now=now, life=life)
        expires = now + life

    assert expires >= keep_for
