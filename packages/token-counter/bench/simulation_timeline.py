"""Virtual time: a heap of what happens next, and processes that sleep and wait on it.

A process is a generator. It yields the seconds it sleeps, or a `Signal` that it waits for; the value of a signal is
what the `yield` gives back. What happens at the same time happens in the order in which it was arranged.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

Process = Generator["float | Signal", Any, None]
Step = Callable[[Any], "float | Signal | None"]


class Signal:
    """What one process waits for, and another one fires, once."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: Step | None = None


class Timeline:
    """The time, and everything that is going to happen.

    Attributes:
        now: Seconds since the start.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._coming: list[tuple[float, int, Step, Any]] = []
        self._order = count()

    def at(self, when: float, step: Step, value: object = None) -> None:
        """Arrange for a step to be taken at a time, at once if that is past."""
        heapq.heappush(self._coming, (max(when, self.now), next(self._order), step, value))

    def start(self, process: Process) -> None:
        """Let a process begin."""
        self.at(self.now, process.send)

    def fire(self, signal: Signal, value: object) -> None:
        """Let the process that waits for a signal go on."""
        step, signal.waiting = signal.waiting, None
        if step is not None:
            self.at(self.now, step, value)

    def run(self, until: float) -> None:
        """Let happen what happens up to a time."""
        coming = self._coming
        while coming and coming[0][0] <= until:
            self.now, _, step, value = heapq.heappop(coming)
            self._take(step, value)
        self.now = until

    def _take(self, step: Step, value: object) -> None:
        """Take a step, and arrange the next one of its process."""
        try:
            pause = step(value)
        except StopIteration:
            return
        if isinstance(pause, Signal):
            pause.waiting = step
        elif pause is not None:
            self.at(self.now + pause, step)


class Alarm:
    """Rings a step at the earliest time it was set to; whoever is rung sets it anew.

    Args:
        timeline: Where it rings.
        ring: What to do then.
    """

    def __init__(self, timeline: Timeline, ring: Callable[[], None]) -> None:
        self._timeline = timeline
        self._ring = ring
        self._set_to: float | None = None

    def set(self, when: float | None) -> None:
        """Ring at a time, at the latest; None asks for nothing."""
        if when is not None and (self._set_to is None or when < self._set_to):
            self._set_to = when
            self._timeline.at(when, self._go_off, when)

    def _go_off(self, when: float) -> None:
        """Ring, unless an earlier ring has taken this one's place."""
        if when == self._set_to:
            self._set_to = None
            self._ring()
