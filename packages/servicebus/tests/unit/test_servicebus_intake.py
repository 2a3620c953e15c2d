"""How much is taken in, and how long an empty queue is waited on."""

from penstock_servicebus._intake import Intake
from penstock_servicebus._pace import Pace


class Hands:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_without_limits_there_is_always_room() -> None:
    intake = Intake(Hands(), until_empty=None, max_messages=None)

    assert intake.room(10) == 10
    intake.heard_nothing(1e9)
    intake.stop_if_done(held=0)
    assert not intake.stopped


def test_silence_counts_from_when_something_was_last_held() -> None:
    hands = Hands()
    intake = Intake(hands, until_empty=1.0, max_messages=None)
    hands.time = 10.0
    intake.busy()

    hands.time = 10.5
    intake.heard_nothing(3.0)
    assert intake.quiet_left == 0.5
    hands.time = 11.0
    intake.stop_if_done(held=0)

    assert intake.stopped


def test_no_more_is_asked_for_than_may_come() -> None:
    intake = Intake(Hands(), until_empty=None, max_messages=5)

    assert [intake.room(3), intake.room(3), intake.room(3)] == [3, 2, 0]
    assert intake.exhausted
    intake.took(1, of=3)
    assert intake.room(9) == 2


def test_it_stops_when_all_that_may_come_has_come_and_nothing_is_held() -> None:
    stopped: list[bool] = []
    intake = Intake(Hands(), until_empty=None, max_messages=1)
    intake.on_stop(lambda: stopped.append(True))
    intake.took(1, of=intake.room(1))

    intake.stop_if_done(held=1)
    assert not stopped
    intake.stop_if_done(held=0)
    intake.stop()

    assert stopped == [True]
    assert intake.room(1) == 0


def test_a_queue_is_empty_when_listening_brought_nothing_for_long_enough() -> None:
    hands = Hands()
    intake = Intake(hands, until_empty=3.0, max_messages=None)

    hands.time = 50.0
    intake.stop_if_done(held=0)
    assert not intake.stopped, "nobody has listened yet"
    intake.heard_nothing(2.0)
    assert intake.quiet_left == 1.0
    hands.time = 51.0
    intake.stop_if_done(held=0)
    assert intake.stopped


def test_work_or_a_broken_link_starts_the_silence_anew() -> None:
    hands = Hands()
    intake = Intake(hands, until_empty=3.0, max_messages=None)
    intake.heard_nothing(2.9)

    intake.busy()
    hands.time = 1.0
    intake.stop_if_done(held=0)

    assert not intake.stopped
    assert intake.quiet_left == 3.0


def test_the_wait_on_an_empty_queue_doubles_and_falls_back() -> None:
    pace = Pace(0.3)
    waits = []

    for anything in (False, False, False, False, True):
        waits.append(pace.seconds)
        pace.found(anything=anything)

    assert waits == [0.05, 0.1, 0.2, 0.3, 0.3]
    assert pace.seconds == 0.05
    assert Pace(0.01).seconds == 0.01
