"""How often one caller may ask: a steady rate, and a burst of one second of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_MANY = 10_000
"""Callers beyond which those who were silent are forgotten."""


class CallRate:
    """Counts the requests of each caller (the generic cell rate algorithm, as in ITU-T I.371).

    Args:
        per_second: Requests per second that each caller may send, above 0.
        clock: Seconds that never go back.
    """

    def __init__(self, per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second
        self._ahead = max(0.0, 1 - self._gap)
        self._clock = clock
        self._next: dict[Hashable, float] = {}

    def take(self, caller: Hashable) -> float:
        """Count a request, and return 0; or leave it out, and return the seconds after which it would count."""
        now = self._clock()
        due = max(now, self._next.get(caller, now))
        if due - now > self._ahead:
            return due - now - self._ahead
        self._next[caller] = due + self._gap
        if len(self._next) > _MANY:
            self._next = {name: due for name, due in self._next.items() if due > now}
        return 0.0
