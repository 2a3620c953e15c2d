"""A circuit breaker as a state machine: failures in a row pause the intake, one probe at a time ends the pause."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admission:
    """The breaker's answer to one piece of work.

    Attributes:
        wait: Seconds until asking again is worth it; 0 means go. Infinite while a probe is out.
        probe: This work is the probe: its end decides.
    """

    wait: float
    probe: bool = False


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """What the breaker shows to people.

    Attributes:
        open: Whether the intake is paused.
        why: Name of the error that opened it, or that its last probe met.
        failures: Environment failures in a row.
        next_probe: Seconds until the next probe may start; None while closed or while a probe is out.
    """

    open: bool
    why: str | None
    failures: int
    next_probe: float | None


class Breaker:
    """Counts environment failures in a row and decides who may start.

    Args:
        threshold: Failures in a row that open it.
        first_pause: Seconds before the first probe; doubled after each probe that fails.
        max_pause: Longest pause between probes in seconds, unless somebody told us to wait longer.
        now: Monotonic clock.
    """

    def __init__(self, *, threshold: int, first_pause: float, max_pause: float, now: Callable[[], float]) -> None:
        self._threshold = threshold
        self._first_pause = first_pause
        self._max_pause = max_pause
        self._now = now
        self._failures = 0
        self._probes_failed = 0
        self._open = False
        self._probing = False
        self._probe_at = 0.0
        self._why: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the intake is paused."""
        return self._open

    @property
    def probe_due(self) -> bool:
        """Whether a probe may start now."""
        return self._open and not self._probing and self._now() >= self._probe_at

    def admit(self) -> Admission:
        """Ask to start; when open and a probe is due, the asker becomes the probe."""
        if not self._open:
            return Admission(0.0)
        if self._probing:
            return Admission(math.inf)
        wait = self._probe_at - self._now()
        if wait > 0:
            return Admission(wait)
        self._probing = True
        return Admission(0.0, probe=True)

    def failed(self, why: str, *, probe: bool = False, retry_after: float | None = None) -> None:
        """Work met an unavailable environment."""
        self._failures += 1
        if probe:
            self._probing = False
            self._probes_failed += 1
        elif self._open or self._failures < self._threshold:
            return  # work that was on its way before the breaker opened says nothing new
        self._open = True
        self._why = why
        pause = min(self._first_pause * 2.0 ** min(self._probes_failed, 32), self._max_pause)
        self._probe_at = self._now() + max(pause, retry_after or 0.0)

    def succeeded(self) -> None:
        """Work came back without an environment failure: close."""
        self._failures = self._probes_failed = 0
        self._open = self._probing = False
        self._why = None

    def withdrew(self, *, probe: bool) -> None:
        """Work was cancelled before it could tell anything."""
        if probe:
            self._probing = False

    def status(self) -> BreakerStatus:
        """What to show now."""
        waiting = self._open and not self._probing
        next_probe = max(self._probe_at - self._now(), 0.0) if waiting else None
        return BreakerStatus(self._open, self._why, self._failures, next_probe)
