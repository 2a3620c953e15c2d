"""What the peers keep about the tokens they let pass: a window anchored at its first hit, a sliding log, a bucket.

They are the algorithms that rate limiters in the field use, written for the virtual clock, and no part of ours.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from simulation_judge import MINUTE


class Entry:
    """What one grant is charged, until when it counts, and until when it counts in the sub-window."""

    __slots__ = ("expires", "paced_until", "tokens")

    def __init__(self, tokens: int, expires: float, paced_until: float) -> None:
        self.tokens = tokens
        self.expires = expires
        self.paced_until = paced_until


class Log(Protocol):
    """What the policies ask."""

    def opens(self, tokens: int, now: float) -> float:
        """Return when so many tokens fit, if nothing else happens."""

    def enter(self, tokens: int, now: float) -> Entry:
        """Charge tokens that fit."""

    def amend(self, entry: Entry, tokens: int, now: float) -> None:
        """Charge an entry otherwise, if it still counts."""


class Pace:
    """Grants in a sub-window, which slides."""

    def __init__(self, burst: int, seconds: float) -> None:
        self.burst = burst
        self.seconds = seconds
        self._starts: deque[float] = deque()

    def free(self, now: float) -> int:
        """Return how many grants the sub-window has room for."""
        while self._starts and self._starts[0] <= now:
            self._starts.popleft()
        return self.burst - len(self._starts)

    def opens(self, now: float) -> float:
        """Return when there is room for one."""
        return now if self.free(now) > 0 else self._starts[0]

    def enter(self, now: float) -> float:
        """Count a grant, and return until when it counts."""
        self._starts.append(now + self.seconds)
        return self._starts[-1]


class AnchoredWindow:
    """A window that begins with the first hit after the last one ended: what most limiters call a window."""

    def __init__(self, tpm: int, rpm: int) -> None:
        self._tpm = tpm
        self._rpm = rpm
        self._ends = -math.inf
        self._used = self._count = 0

    def opens(self, tokens: int, now: float) -> float:
        """Return now, or when the window ends."""
        full = self._used + tokens > self._tpm or self._count >= self._rpm
        return self._ends if now < self._ends and full else now

    def enter(self, tokens: int, now: float) -> Entry:
        """Charge, and begin a window where there is none."""
        if now >= self._ends:
            self._ends = now + MINUTE
            self._used = self._count = 0
        self._used += tokens
        self._count += 1
        return Entry(tokens, self._ends, now)

    def amend(self, entry: Entry, tokens: int, now: float) -> None:
        """Charge otherwise."""
        if now < self._ends and entry.expires == self._ends:
            self._used += tokens - entry.tokens
            entry.tokens = tokens


class SlidingLog:
    """An exact log of everything granted in the window, which slides."""

    def __init__(self, tpm: int, window: float, pace: Pace) -> None:
        self.tpm = tpm
        self.pace = pace
        self.used = 0
        self._window = window
        self._entries: deque[Entry] = deque()

    def opens(self, tokens: int, now: float) -> float:
        """Return the exact time at which the tokens fit."""
        self._age(now)
        start = self.pace.opens(now)
        free = self.tpm - self.used - tokens
        if free >= 0:
            return start
        for entry in self._entries:
            free += entry.tokens
            if free >= 0:
                return max(start, entry.expires)
        return math.inf

    def free_at(self, at: float, now: float) -> int:
        """Return how many tokens are free at a later time."""
        self._age(now)
        free = self.tpm - self.used
        for entry in self._entries:
            if entry.expires > at:
                break
            free += entry.tokens
        return free

    def enter(self, tokens: int, now: float) -> Entry:
        """Charge."""
        self._age(now)
        entry = Entry(tokens, now + self._window, self.pace.enter(now))
        self._entries.append(entry)
        self.used += tokens
        return entry

    def amend(self, entry: Entry, tokens: int, now: float) -> None:
        """Charge otherwise."""
        self._age(now)
        if entry.expires > now:
            self.used += tokens - entry.tokens
            entry.tokens = tokens

    def _age(self, now: float) -> None:
        """Drop what has left the window."""
        while self._entries and self._entries[0].expires <= now:
            self.used -= self._entries.popleft().tokens


class Bucket:
    """A token bucket that fills continuously."""

    def __init__(self, tpm: int, burst: float, pace: Pace) -> None:
        self._rate = tpm / MINUTE
        self._burst = self._level = burst
        self._pace = pace
        self._filled = 0.0

    def opens(self, tokens: int, now: float) -> float:
        """Return when the bucket holds the tokens."""
        self._level = min(self._burst, self._level + (now - self._filled) * self._rate)
        self._filled = now
        return max(self._pace.opens(now), now + max(0.0, tokens - self._level) / self._rate)

    def enter(self, tokens: int, now: float) -> Entry:
        """Take the tokens out; the caller has asked whether they are there."""
        self._level -= tokens
        return Entry(tokens, now, self._pace.enter(now))

    def amend(self, entry: Entry, tokens: int, now: float) -> None:
        """Do nothing: what has flowed out does not come back."""
