"""No limit at all, behind the same interface: for deployments that somebody else watches over."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Self

from ._arguments import check_reserve, count_fault
from ._quota import Lock
from ._reservation import Held, holding

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ._quota import Reservation
    from ._usage import Usage


class Unlimited:
    """Grants everything at once and remembers nothing but how many reservations went without a report."""

    def __init__(self) -> None:
        self._ids = (f"unlimited-{number}" for number in itertools.count(1))
        self.unreported = 0

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, which is nothing."""

    def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> AbstractAsyncContextManager[Reservation]:
        """Grant at once; the arguments are checked as everywhere."""
        return holding(self._obtain(token_count, max_tokens, requests, deadline))

    async def lock_tokens(self, token_count: int) -> Lock:
        """Grant at once."""
        fault = count_fault("token_count", token_count)
        if fault:
            return Lock(allowed=False, error=fault, code="invalid")
        return Lock(allowed=True, request_id=next(self._ids))

    async def report_usage(self, request_id: str, prompt_tokens: int, completion_tokens: int) -> bool:
        """Take the report if it makes sense."""
        fault = count_fault("prompt_tokens", prompt_tokens) or count_fault("completion_tokens", completion_tokens)
        return bool(request_id) and fault is None

    async def release_tokens(self, request_id: str) -> bool:
        """Take it back."""
        return bool(request_id)

    async def get_status(self) -> dict[str, Any] | None:
        """Return nothing: there is no pool."""
        return None

    async def aclose(self) -> None:
        """Let go of nothing."""

    async def settle(self, request_id: str, usage: Usage) -> bool | None:
        """Take a reservation's report."""
        return bool(request_id and usage)

    async def give_back(self, request_id: str) -> bool | None:
        """Take back a reservation."""
        return bool(request_id)

    def count_unreported(self) -> None:
        """Count a reservation that was left without a word."""
        self.unreported += 1

    async def _obtain(self, token_count: int, max_tokens: int, requests: int, deadline: float | None) -> Held:
        """Grant at once."""
        check_reserve(token_count, max_tokens, requests, deadline)
        return Held(self, next(self._ids))
