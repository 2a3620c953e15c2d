"""What is to happen when: the appointments of one entity with time."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

_TIDY_FROM: Final = 64
"""Cancelled appointments that are not worth tidying away."""


class Appointment:
    """Something that happens at an instant unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action


class Agenda:
    """Appointments in order of their instants; those of one instant in the order of `rank`, then as they were made."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, Appointment]] = []
        self._made = count()
        self._cancelled = 0

    def add(self, instant: float, action: Callable[[], None], *, rank: int = 0) -> Appointment:
        """Make an appointment."""
        appointment = Appointment(action)
        heappush(self._heap, (instant, rank, next(self._made), appointment))
        return appointment

    def cancel(self, appointment: Appointment | None) -> None:
        """Drop an appointment; nothing is wrong if it is over or there never was one."""
        if appointment is None or appointment.action is None:
            return
        appointment.action = None
        self._cancelled += 1
        if self._cancelled > _TIDY_FROM and 2 * self._cancelled > len(self._heap):
            self._heap = [item for item in self._heap if item[-1].action is not None]
            heapify(self._heap)
            self._cancelled = 0

    def keep(self, now: float) -> None:
        """Do everything that is due by `now`."""
        while (due := self.next_due()) is not None and due <= now:
            *_, appointment = heappop(self._heap)
            action, appointment.action = appointment.action, None
            if action is not None:
                action()

    def next_due(self) -> float | None:
        """Return the instant of the next appointment."""
        while self._heap and self._heap[0][-1].action is None:
            heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None
