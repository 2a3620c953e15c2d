"""What Azure says about the limits in the headers of a response, as numbers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ._arguments import count_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADERS = {
    "x-ratelimit-limit-tokens": "limit_tokens",
    "x-ratelimit-limit-requests": "limit_requests",
    "x-ratelimit-remaining-tokens": "remaining_tokens",
    "x-ratelimit-remaining-requests": "remaining_requests",
    "retry-after-ms": "retry_after_ms",
}
_RETRY_AFTER = "retry-after"


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """What one response said; None where it said nothing.

    A limit of 0 or less means that Azure does not know it (seen on the Responses API), so it says nothing either.

    Attributes:
        limit_tokens: Tokens per minute in force.
        limit_requests: Requests in force, per a period that Azure does not name.
        remaining_tokens: Tokens left of the minute after this request was counted.
        remaining_requests: Requests left.
        retry_after_ms: Milliseconds for which a refused caller is asked to wait.
    """

    limit_tokens: int | None = None
    limit_requests: int | None = None
    remaining_tokens: int | None = None
    remaining_requests: int | None = None
    retry_after_ms: int | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """Pick the numbers out of a response's headers; ``retry-after``, in seconds, where there is none in ms."""
        facts: dict[str, object] = {}
        for header, text in headers.items():
            lowered = header.lower()
            if lowered in _HEADERS and text.strip().isdecimal():
                facts[_HEADERS[lowered]] = int(text)
            elif lowered == _RETRY_AFTER and text.strip().isdecimal():
                facts.setdefault("retry_after_ms", int(text) * 1000)
        return cls.from_json(facts)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Take what travelled; what is unknown or no count is left out, because it comes from elsewhere."""
        if not data:
            return cls()
        facts: dict[str, Any] = {
            name: value for name, value in data.items() if name in _NAMES and count_fault(name, value) is None
        }
        return cls(**{name: value for name, value in facts.items() if value > 0 or not name.startswith("limit_")})

    def to_json(self) -> dict[str, int]:
        """Return what was said, to travel."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) is not None}


_NAMES = tuple(field.name for field in dataclasses.fields(RateLimit))

SILENCE = RateLimit()
"""A response that said nothing about limits."""
