"""The window test: the most that any 60 seconds see when a limiter is flooded around the end of its first window.

Limiters that anchor a window at its first hit let nearly two limits pass within a second: one as the window ends, one
as the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simulation_judge import MINUTE
from simulation_logs import AnchoredWindow

from penstock_token_client import Limits
from penstock_token_client.accounting import Ledger, Order

if TYPE_CHECKING:
    from collections.abc import Iterator

TPM, RPM = 60_000, 6_000
FIRST_HIT, REQUEST = 10, 600
FLOOD_BEGINS, FLOOD_ENDS, EVERY = 59.0, 122.0, 0.01

Ask = Callable[[int, float], bool]
"""Asks a limiter for tokens at a time, and tells whether they were granted."""


def most_in_a_minute(ask: Ask) -> float:
    """Return the most that any 60 seconds see, as a multiple of the limit."""
    return busiest([(at, tokens) for at, tokens in _arrivals() if ask(tokens, at)]) / TPM


def busiest(grants: Sequence[tuple[float, int]], window: float = MINUTE) -> int:
    """Return the most tokens that any window, closed at its end and open at its start, holds."""
    most = held = oldest = 0
    for at, tokens in grants:
        held += tokens
        while grants[oldest][0] <= at - window:
            held -= grants[oldest][1]
            oldest += 1
        most = max(most, held)
    return most


def anchored_window() -> Ask:
    """Return a limiter whose window begins with its first hit."""
    window = AnchoredWindow(TPM, RPM)

    def ask(tokens: int, now: float) -> bool:
        if window.opens(tokens, now) > now:
            return False
        window.enter(tokens, now)
        return True

    return ask


def our_ledger() -> Ask:
    """Return ours."""
    ledger = Ledger(Limits(tpm=TPM, rpm=RPM, headroom=0.0), instance="0")

    def ask(tokens: int, now: float) -> bool:
        order = Order(app="A", tokens=tokens)
        if ledger.earliest(order, now) > now:
            return False
        ledger.grant(order, now)
        return True

    return ask


def _arrivals() -> Iterator[tuple[float, int]]:
    """One small request at first, then a flood from just before the end of its minute."""
    yield 0.0, FIRST_HIT
    steps = round((FLOOD_ENDS - FLOOD_BEGINS) / EVERY)
    yield from ((FLOOD_BEGINS + step * EVERY, REQUEST) for step in range(steps))
