import pytest

from penstock_token_client.accounting import Charge, Ledger, Limits, Order, State

LIMITS = Limits(tpm=1000, rpm=24, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
TELLING = Order(app="app", tokens=300, key="k")


class Told(list[Charge]):
    """What a ledger told of its changes."""

    def states(self) -> list[tuple[State, int | None, float]]:
        return [(charge.state, charge.used, charge.at) for charge in self]


@pytest.fixture
def told() -> Told:
    return Told()


def ledger(told: Told | None = None, *, limits: Limits = LIMITS) -> Ledger:
    return Ledger(limits, instance="test", on_change=None if told is None else told.append)


def restored(before: Ledger, now: float) -> Ledger:
    after = Ledger(before.limits, instance="next")
    after.restore(before.charges(now), now)
    return after


def test_grants_moves_and_ends_are_told_as_they_stand(told: Told) -> None:
    book = ledger(told)

    grant = book.grant(TELLING, 0.0)
    book.grant(TELLING, 2.0)
    book.settle(grant.id, 350, 3.0)

    assert told.states() == [("open", None, 0.0), ("open", None, 2.0), ("settled", 350, 2.0)]
    assert {charge.id for charge in told} == {grant.id}


def test_a_release_is_told(told: Told) -> None:
    book = ledger(told)

    book.release(book.grant(TELLING, 0.0).id, 1.0)

    assert told.states()[1] == ("released", None, 0.0)


def test_what_changes_nothing_is_not_told(told: Told) -> None:
    book = ledger(told)
    grant = book.grant(TELLING, 0.0)
    book.settle(grant.id, 10, 1.0)
    before = len(told)

    book.settle(grant.id, 10, 2.0)
    book.release(grant.id, 2.0)
    book.grant(TELLING, 2.0)
    book.next_expiry(100.0)

    assert len(told) == before


def test_a_restored_ledger_charges_the_same_and_for_as_long() -> None:
    book = ledger()
    book.grant(Order(app="app", tokens=600), 0.0)
    book.settle(book.grant(Order(app="app", tokens=100), 1.0).id, 200, 1.0)
    book.release(book.grant(Order(app="app", tokens=50), 1.5).id, 1.5)

    after = restored(book, 2.0)

    assert (after.tokens, after.requests, after.open_tokens) == (800, 2, 600)
    assert after.earliest(Order(app="app", tokens=300), 2.0) == 8.25
    assert after.earliest(Order(app="app", tokens=1000), 2.0) == 9.25


def test_a_restored_ledger_paces_what_follows() -> None:
    book = ledger()
    for _ in range(3):
        book.grant(Order(app="app", tokens=1), 0.0)

    assert restored(book, 0.5).earliest(Order(app="app", tokens=1), 0.5) == 1.125


def test_restored_keys_and_ids_are_known() -> None:
    book = ledger()
    first = book.grant(TELLING, 0.0)
    ended = book.grant(Order(app="app", tokens=10, key="ended"), 0.0)
    book.settle(ended.id, 10, 0.0)

    after = restored(book, 2.0)

    assert after.grant(TELLING, 2.0).id == first.id
    assert after.grant(Order(app="app", tokens=10, key="ended"), 2.0).id == ended.id
    assert after.release(ended.id, 2.0)
    assert after.settle(first.id, 300, 2.0)
    assert after.tokens == 310


def test_a_key_that_was_released_is_still_forgotten() -> None:
    book = ledger()
    book.release(book.grant(TELLING, 0.0).id, 0.0)

    after = restored(book, 1.0)

    assert not after.holds(TELLING, 1.0)
    assert after.tokens == after.open_tokens == after.requests == 0


def test_a_key_that_was_released_and_used_again_names_the_later_grant() -> None:
    book = ledger()
    first = book.grant(TELLING, 0.0)
    book.release(first.id, 0.0)
    second = book.grant(TELLING, 0.0)

    after = restored(book, 1.0)

    assert after.grant(TELLING, 1.0).id == second.id
    assert after.release(first.id, 1.0)
    assert after.tokens == 300


def test_what_has_left_the_window_is_not_restored() -> None:
    book = ledger()
    book.grant(TELLING, 0.0)
    charges = list(book.charges(1.0))

    after = Ledger(LIMITS, instance="next")
    after.restore(charges, 9.0)

    assert (after.tokens, after.unreported) == (0, 0)


def test_a_ledger_that_is_filled_grants_nothing_for_one_window() -> None:
    book = ledger()
    book.grant(TELLING, 0.0)

    book.fill(1.0)

    assert book.earliest(Order(app="app", tokens=1), 1.0) == 9.25
    assert book.open_tokens == 300
