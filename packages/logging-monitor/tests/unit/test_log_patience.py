"""How long a file, or the archive, is left alone after a failure."""

from __future__ import annotations

from penstock_logging_monitor._patience import ARCHIVE, Patience


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def waits(patience: Patience, clock: Clock, name: str, times: int, *, at_once: int = 1) -> list[float]:
    """Let something fail again and again as soon as it may be tried; return how long it had to wait each time."""
    found = []
    for _ in range(times):
        for _ in range(at_once):
            patience.failed(name, None)
        begun = clock.now
        while not patience.allows(name):
            clock.now += 0.5
        found.append(clock.now - begun)
    return found


def test_each_wait_is_twice_the_last_up_to_a_minute() -> None:
    clock = Clock()

    assert waits(Patience(clock), clock, "a.log", 8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_what_fails_at_once_is_one_failure() -> None:
    clock = Clock()

    assert waits(Patience(clock), clock, ARCHIVE, 4, at_once=4) == [1, 2, 4, 8]


def test_the_archives_own_wish_is_followed() -> None:
    clock = Clock()
    patience = Patience(clock)

    patience.failed("a.log", 30.0)
    clock.now += 29.5
    assert not patience.allows("a.log")
    clock.now += 0.5
    assert patience.allows("a.log")


def test_an_arrival_ends_the_archives_wait_and_no_files() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.failed(ARCHIVE, None)
    patience.failed("a.log", None)

    patience.arrived()

    assert (patience.allows(ARCHIVE), patience.allows("a.log")) == (True, False)
    assert waits(patience, clock, ARCHIVE, 1) == [1]


def test_files_that_are_gone_are_forgotten_and_the_archive_is_not() -> None:
    clock = Clock()
    patience = Patience(clock)
    for name in (ARCHIVE, "a.log", "b.log"):
        patience.failed(name, None)

    patience.forget_files_but({"b.log"})

    assert [patience.allows(name) for name in (ARCHIVE, "a.log", "b.log")] == [False, True, False]


def test_at_the_end_what_is_refused_for_good_is_not_tried_again_and_anything_else_is() -> None:
    clock = Clock()
    patience = Patience(clock)
    for _ in range(3):
        patience.failed("poison.log", None, for_good=True)
    patience.failed("unlucky.log", None)
    assert patience.is_refused("poison.log")

    patience.end_all_waits()
    assert [patience.allows(name) for name in ("poison.log", "unlucky.log")] == [True, True]
    assert not patience.is_refused("poison.log")
    patience.failed("poison.log", None, for_good=True)
    patience.failed("unlucky.log", None)
    clock.now += 3600

    assert [patience.allows(name) for name in ("poison.log", "unlucky.log")] == [False, True]
    assert [patience.is_refused(name) for name in ("poison.log", "unlucky.log")] == [True, False]


def test_a_file_is_poison_when_it_is_refused_for_good_three_times_while_others_arrive() -> None:
    patience = Patience(Clock())

    assert not patience.failed("a.log", None, for_good=True)
    patience.arrived()
    assert not patience.failed("a.log", None, for_good=True)
    assert not patience.failed("a.log", None)
    assert patience.failed("a.log", None, for_good=True)
