"""What a response's headers say about the limits, picked out for the counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FACTS = {
    "x-ratelimit-limit-tokens": "limit_tokens",
    "x-ratelimit-limit-requests": "limit_requests",
    "x-ratelimit-remaining-tokens": "remaining_tokens",
    "x-ratelimit-remaining-requests": "remaining_requests",
    "retry-after-ms": "retry_after_ms",
}


def ratelimit_facts(headers: Mapping[str, str]) -> dict[str, int]:
    """Return the numbers among the rate limit headers.

    A limit of 0 or less means that Azure does not know it (seen on the Responses API), so it is left out.
    """
    facts: dict[str, int] = {}
    for header, text in headers.items():
        name = _FACTS.get(header.lower())
        if name is not None and text.strip().isdecimal():
            facts[name] = int(text)
    return {name: value for name, value in facts.items() if value > 0 or not name.startswith("limit_")}
