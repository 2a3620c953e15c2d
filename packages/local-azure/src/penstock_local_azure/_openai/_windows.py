"""Counters over time: a minute that starts anew, and a minute that slides. Pure; `now` never goes backwards."""

from collections import deque
from dataclasses import dataclass
from math import floor
from typing import Final, Protocol

MINUTE: Final = 60.0
"""Seconds over which tokens are counted."""


@dataclass(slots=True)
class Charge:
    """Tokens that count against a window from the moment they were judged."""

    at: float
    tokens: int


class TokenWindow(Protocol):
    """What the judge asks of a counter of tokens."""

    def used(self, now: float) -> int:
        """Return the tokens that count at `now`."""

    def add(self, now: float, tokens: int) -> Charge:
        """Count tokens from `now` on."""

    def amend(self, now: float, charge: Charge, tokens: int) -> None:
        """Let a charge count as `tokens` from `now` on, if it still counts at all."""

    def wait(self, now: float, excess: int) -> float:
        """Return the seconds until at least `excess` of the tokens used now no longer count."""

    def resets(self, now: float) -> float:
        """Return the seconds until none of the tokens used now counts."""


class FixedMinute:
    """A count that falls to zero at the end of each minute; the minutes start at `phase` seconds past the hour."""

    def __init__(self, phase: float, length: float = MINUTE) -> None:
        self._phase = phase
        self._length = length
        self._index = 0
        self._used = 0

    def used(self, now: float) -> int:
        """Return the tokens that count at `now`."""
        self._turn(now)
        return self._used

    def add(self, now: float, tokens: int) -> Charge:
        """Count tokens from `now` on."""
        self._turn(now)
        self._used += tokens
        return Charge(now, tokens)

    def amend(self, now: float, charge: Charge, tokens: int) -> None:
        """Let a charge count as `tokens` from `now` on, if its minute has not ended."""
        self._turn(now)
        if self._index_of(charge.at) == self._index:
            self._used += tokens - charge.tokens
            charge.tokens = tokens

    def wait(self, now: float, excess: int = 1) -> float:  # noqa: ARG002  # all of it goes at once
        """Return the seconds until the minute ends."""
        return max(0.0, (self._index_of(now) + 1) * self._length + self._phase - now)

    def resets(self, now: float) -> float:
        """Return the seconds until the minute ends, if anything counts in it."""
        return self.wait(now) if self.used(now) else 0.0

    def _index_of(self, at: float) -> int:
        """Return which minute a time is in."""
        return floor((at - self._phase) / self._length)

    def _turn(self, now: float) -> None:
        """Start a new minute if the last one has ended."""
        if (index := self._index_of(now)) != self._index:
            self._index = index
            self._used = 0


class SlidingMinute:
    """An exact log: each charge counts for one minute from when it was made."""

    def __init__(self, length: float = MINUTE) -> None:
        self._length = length
        self._log: deque[Charge] = deque()
        self._used = 0

    def used(self, now: float) -> int:
        """Return the tokens that count at `now`."""
        self._expire(now)
        return self._used

    def add(self, now: float, tokens: int) -> Charge:
        """Count tokens from `now` on."""
        self._expire(now)
        charge = Charge(now, tokens)
        self._log.append(charge)
        self._used += tokens
        return charge

    def amend(self, now: float, charge: Charge, tokens: int) -> None:
        """Let a charge count as `tokens` from `now` on, if it has not aged out."""
        self._expire(now)
        if not self._aged(now, charge):
            self._used += tokens - charge.tokens
            charge.tokens = tokens

    def wait(self, now: float, excess: int) -> float:
        """Return the seconds until at least `excess` tokens have aged out, at most one window."""
        freed = 0
        for charge in self._log:
            freed += charge.tokens
            if freed >= excess:
                return charge.at + self._length - now
        return self._length

    def resets(self, now: float) -> float:
        """Return the seconds until the last of them has aged out."""
        self._expire(now)
        last = next((charge for charge in reversed(self._log) if charge.tokens), None)
        return 0.0 if last is None else last.at + self._length - now

    def _aged(self, now: float, charge: Charge) -> bool:
        """Tell whether a charge counts no longer."""
        return charge.at <= now - self._length

    def _expire(self, now: float) -> None:
        """Drop what has aged out."""
        while self._log and self._aged(now, self._log[0]):
            self._used -= self._log.popleft().tokens
