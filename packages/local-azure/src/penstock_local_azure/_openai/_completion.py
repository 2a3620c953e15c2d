"""A chat answer as it goes out: bounded, counted, and with the reason why it ended."""

from dataclasses import dataclass
from typing import Literal

from ._drafts import Call, Draft
from ._faults import Category

FinishReason = Literal["content_filter", "length", "stop", "tool_calls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An answer and what it costs."""

    content: str | None
    calls: tuple[Call, ...]
    refusal: str | None
    filtered: Category | None
    finish_reason: FinishReason
    tokens: int
    """Completion tokens on the bill, hidden ones included."""
    reasoning_tokens: int
    """The hidden ones."""


def finish_reason(draft: Draft, *, truncated: bool, named: bool) -> FinishReason:
    """Return why an answer ended; one that had to be a certain call ends as a text does."""
    if draft.filtered:
        return "content_filter"
    if truncated:
        return "length"
    return "tool_calls" if draft.calls and not named else "stop"
