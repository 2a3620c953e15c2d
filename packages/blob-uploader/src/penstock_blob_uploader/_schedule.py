"""Which upload runs next, which one waits, and whether the way is open at all. Pure: the time is passed in.

Two reasons keep an upload waiting. Its own last attempt failed: then it alone waits until it is due. Or the
surroundings are broken for everyone (no right to write, no such host): then the way closes, and when the pause is
over a single upload goes ahead as a probe. What the probe meets decides for all.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass(slots=True)
class _Pause(Generic[Job]):
    """The way is closed: until when, how often in a row it was found so, and which upload is the probe, if any."""

    until: float
    times: int
    probe: Job | None = None


@dataclass(slots=True)
class Schedule(Generic[Job]):
    """Every upload that waits: in order of arrival, or for its time to come."""

    _ready: deque[Job] = field(default_factory=deque)
    _later: list[tuple[float, int, Job]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)
    _pause: _Pause[Job] | None = None

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    @property
    def paused(self) -> bool:
        """Whether the way is closed but for a probe."""
        return self._pause is not None

    @property
    def pauses(self) -> int:
        """How many times in a row the way was found closed; 0 when it is open."""
        return self._pause.times if self._pause else 0

    def add(self, job: Job) -> None:
        """Line up at the end."""
        self._ready.append(job)

    def put_off(self, job: Job, due: float) -> None:
        """Keep one upload back until ``due``."""
        heapq.heappush(self._later, (due, next(self._order), job))

    def take(self, now: float) -> Job | None:
        """Hand out the next upload that may start now; None when none may."""
        self._collect(now)
        if not self._ready or not self._way_is_open(now):
            return None
        job = self._ready.popleft()
        if self._pause:
            self._pause.probe = job
        return job

    def close(self, job: Job, until: float) -> None:
        """Close the way until then, and line ``job`` up again, at the end, so that probes take turns.

        A failure that was already under way when the way closed does not close it for longer.
        """
        self._ready.append(job)
        if self._pause is None:
            self._pause = _Pause(until=until, times=1)
        elif self._pause.probe is job:
            self._pause = _Pause(until=until, times=self._pause.times + 1)

    def open(self) -> bool:
        """Open the way; tell whether it was closed."""
        was_closed, self._pause = self._pause is not None, None
        return was_closed

    def learnt_nothing(self, job: Job) -> None:
        """``job`` ended before it met the surroundings; if it was the probe, the next one may try."""
        if self._pause and self._pause.probe is job:
            self._pause.probe = None

    def next_due(self) -> float | None:
        """Return when `take` may hand out more although nothing else happens; None when only an event can help."""
        if not len(self) or (self._pause and self._pause.probe is not None):
            return None
        return max(self._first_due(), self._pause.until) if self._pause else self._first_due()

    def drain(self) -> list[Job]:
        """Give up: return everything that waits and forget it."""
        left = [*self._ready, *(job for _, _, job in sorted(self._later))]
        self._ready.clear()
        self._later.clear()
        return left

    def _way_is_open(self, now: float) -> bool:
        """Tell whether one more may start: always, or as the probe of a pause that is over."""
        return self._pause is None or (now >= self._pause.until and self._pause.probe is None)

    def _collect(self, now: float) -> None:
        """Line up those whose time has come."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])

    def _first_due(self) -> float:
        """Return the earliest time at which an upload is due; in the past when one is ready."""
        return float("-inf") if self._ready else self._later[0][0]
