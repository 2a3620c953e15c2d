"""Who is worked on, and how many more may come."""

from typing import Any, cast

from penstock_servicebus import MessageContext
from penstock_servicebus._held import Held
from penstock_servicebus._identity import Identity
from penstock_servicebus._slots import Slots


class Hands:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def message(name: str) -> Held:
    context = MessageContext(message_id=name, origin_id=name)
    return Held(cast("Any", None), Identity(name, name, 0, None), context, 0.0, 0.0)


def after_work_of(seconds: float, ahead: int = 0) -> Slots:
    hands = Hands()
    slots = Slots(4, ahead, hands)
    slots.add(message("first"))
    first = slots.next()
    assert first is not None
    hands.time = seconds
    slots.worked(first)
    return slots


def test_no_more_are_worked_on_than_there_are_slots() -> None:
    slots = Slots(2, 0, Hands())
    held = [message(name) for name in "abc"]
    for one in held:
        slots.add(one)

    assert [slots.next(), slots.next(), slots.next()] == [held[0], held[1], None]
    slots.worked(held[1])
    assert slots.next() is held[2]


def test_a_slot_given_back_twice_is_one_slot() -> None:
    slots = Slots(1, 0, Hands())
    held = [message(name) for name in "abc"]
    for one in held:
        slots.add(one)
    slots.next()
    slots.worked(held[0])
    slots.worked(held[0])

    assert slots.next() is held[1]
    assert slots.next() is None


def test_before_anything_is_known_only_free_slots_are_filled() -> None:
    assert Slots(4, 0, Hands()).room(undecided=1) == 3


def test_short_work_is_supplied_ahead_and_long_work_is_not() -> None:
    assert after_work_of(0.05).room(undecided=4) == 4
    assert after_work_of(5.0).room(undecided=4) == 0


def test_what_was_asked_for_is_taken_ahead_however_long_the_work_takes() -> None:
    assert after_work_of(5.0, ahead=2).room(undecided=4) == 2
    assert after_work_of(0.05, ahead=9).room(undecided=4) == 9


def test_what_was_not_begun_can_be_let_go() -> None:
    slots = Slots(1, 0, Hands())
    held = [message(name) for name in "ab"]
    for one in held:
        slots.add(one)
    slots.next()

    assert slots.clear() == [held[1]]
    assert slots.next() is None
