"""Virtual time: what is due happens in order, and what waits is woken once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation_timeline import Alarm, Signal, Timeline

if TYPE_CHECKING:
    from simulation_timeline import Process


def test_processes_sleep_side_by_side_in_the_order_in_which_they_began() -> None:
    timeline = Timeline()
    seen: list[tuple[str, float]] = []

    def sleeper(name: str, seconds: float) -> Process:
        for _ in range(2):
            yield seconds
            seen.append((name, timeline.now))

    timeline.start(sleeper("slow", 2.0))
    timeline.start(sleeper("quick", 1.0))
    timeline.run(10.0)

    assert seen == [("quick", 1.0), ("slow", 2.0), ("quick", 2.0), ("slow", 4.0)]
    assert timeline.now == 10.0


def test_nothing_happens_after_the_end() -> None:
    timeline = Timeline()
    seen: list[str] = []
    timeline.at(5.0, seen.append, "in time")
    timeline.at(5.1, seen.append, "late")

    timeline.run(5.0)

    assert seen == ["in time"]


def test_a_signal_hands_its_value_to_who_waits() -> None:
    timeline, signal = Timeline(), Signal()
    seen: list[object] = []

    def waiter() -> Process:
        seen.append((yield signal))

    timeline.start(waiter())
    timeline.at(3.0, lambda value: timeline.fire(signal, value), "granted")
    timeline.run(10.0)

    assert seen == ["granted"]


def test_an_alarm_rings_at_the_earliest_time_it_was_set_to_and_only_then() -> None:
    timeline = Timeline()
    rung: list[float] = []
    alarm = Alarm(timeline, lambda: rung.append(timeline.now))

    for when in (5.0, 3.0, 4.0, None):
        alarm.set(when)
    timeline.run(10.0)

    assert rung == [3.0]
