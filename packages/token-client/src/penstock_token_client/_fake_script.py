"""What a fake counter answers, step by step, and what it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._usage import CallStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One wish that was granted.

    Attributes:
        request_id: The id it got.
        token_count: The whole estimate.
        max_tokens: The part of it that gets no headroom.
        requests: How many requests it was for.
        deadline: The seconds its caller would have waited; None without end.
    """

    request_id: str
    token_count: int
    max_tokens: int = 0
    requests: int = 1
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """One report that arrived."""

    request_id: str
    prompt_tokens: int
    completion_tokens: int
    status: CallStatus = "ok"


@dataclass(frozen=True, kw_only=True, slots=True)
class Yes:
    """A scripted grant."""

    suggested_max_tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class No:
    """A scripted denial."""

    permanent: bool
    retry_after: float

    @property
    def message(self) -> str:
        """Say why, as a counter would."""
        return "it can never fit" if self.permanent else "the quota is used up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Away:
    """A scripted outage."""

    message: str
    passing: bool
