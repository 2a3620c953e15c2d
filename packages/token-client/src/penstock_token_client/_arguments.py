"""Checks of what callers pass, with messages that name the argument."""

from __future__ import annotations

MAX_COUNT = 2**63 - 1
"""The largest count that is an argument and not a mistake."""


def count_fault(name: str, value: object) -> str | None:
    """Say what is wrong with a count, or None."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return None
    return f"{name} must be a whole number from 0 to 2**63 - 1"


def check_reserve(token_count: int, max_tokens: int, requests: int, deadline: float | None) -> None:
    """Refuse arguments of `reserve` that make no sense.

    Raises:
        ValueError: Naming the argument.
    """
    for name, value in (("token_count", token_count), ("max_tokens", max_tokens), ("requests", requests)):
        fault = count_fault(name, value)
        if fault:
            raise ValueError(fault)
    if max_tokens > token_count:
        raise ValueError("max_tokens must not exceed token_count, of which it is a part")
    if requests < 1:
        raise ValueError("requests must be at least 1")
    if deadline is not None and not deadline >= 0:
        raise ValueError("deadline must be a number of seconds of at least 0, or None")
