"""Quota for one process that has a deployment to itself: the counter's ledger and queue, without a counter."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Self

from ._arguments import check_reserve, count_fault
from ._errors import QuotaError, TokenLimitExceeded
from ._gate import Gate
from ._ledger import Order
from ._limits import Limits, Settling
from ._pool import NeverFitsError
from ._queue import QueueFullError
from ._quota import Lock
from ._reservation import Held, holding
from ._sharing import Sharing
from ._usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ._ledger import Grant
    from ._quota import Reservation

_APP = "local"


class LocalQuota:
    """Tokens and requests per minute, shared by everything in this process that uses this object.

    It starts idle: as if nothing had been sent in the last minute. Several processes that share a deployment need a
    `TokenClient` and a token counter instead. Bound to the event loop that first waits on it.

    Args:
        tpm: Tokens per minute of the deployment.
        rpm: Requests per minute of the deployment.
        sub_window: Seconds over which Azure evaluates the requests, 1 or 10.
        headroom: Share added to the prompt part of each estimate.
        settle: Whether a report may lower what is charged: ``"judged"`` never, ``"actual"`` does.
        window: Seconds over which ``tpm`` and ``rpm`` count; less than 60 only in tests.
        learn_max_tokens: The part of the answers that `Reservation.suggested_max_tokens` is to be enough for; None
            suggests nothing.
        max_depth: How many reservations may wait; one more is refused at once with `TokenLimitExceeded`.
        clock: Seconds that never go back.

    Raises:
        ValueError: A limit is out of range.
    """

    def __init__(
        self,
        *,
        tpm: int,
        rpm: int,
        sub_window: float = 1.0,
        headroom: float = 0.02,
        settle: Settling = "judged",
        window: float = 60.0,
        learn_max_tokens: float | None = None,
        max_depth: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = Limits(
            tpm=tpm,
            rpm=rpm,
            sub_window=sub_window,
            headroom=headroom,
            settle=settle,
            window=window,
            learn_max_tokens=learn_max_tokens,
        )
        self._gate = Gate(self._limits, sharing=Sharing(max_depth=max_depth), clock=clock)
        self._left_unreported = 0

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    @property
    def unreported(self) -> int:
        """How many reservations were left without a report or a release."""
        return self._left_unreported

    def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> AbstractAsyncContextManager[Reservation]:
        """Wait for quota, first come first served, and hold it for one call; see `Quota.reserve`."""
        return holding(self._obtain(token_count, max_tokens, requests, deadline))

    async def lock_tokens(self, token_count: int) -> Lock:
        """Ask once, without waiting."""
        fault = count_fault("token_count", token_count)
        if fault:
            return Lock(allowed=False, error=fault, code="invalid")
        order = Order(app=_APP, tokens=token_count)
        try:
            grant = self._gate.try_now(order)
        except NeverFitsError:
            return Lock(allowed=False, error=self._too_large(order), code="exceeds_quota")
        if grant is None:
            return Lock(
                allowed=False, error="the quota is used up", code="limited", retry_after=self._retry_after(order)
            )
        return Lock(allowed=True, request_id=grant.id, suggested_max_tokens=self._gate.pool.suggestion(_APP))

    async def report_usage(self, request_id: str, prompt_tokens: int, completion_tokens: int) -> bool:
        """Report what a locked request used."""
        if count_fault("", prompt_tokens) or count_fault("", completion_tokens):
            return False
        return self._gate.settle(request_id, Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens))

    async def release_tokens(self, request_id: str) -> bool:
        """Give back a lock whose request was never sent."""
        return self._gate.release(request_id)

    async def get_status(self) -> dict[str, Any] | None:
        """Return how the pool stands, in the words of the token counter."""
        return self._gate.status()

    async def aclose(self) -> None:
        """Grant nothing more; those who wait are told."""
        self._gate.close()

    async def settle(self, request_id: str, usage: Usage) -> bool | None:
        """Take a reservation's report."""
        return self._gate.settle(request_id, usage)

    async def give_back(self, request_id: str) -> bool | None:
        """Take back a reservation."""
        return self._gate.release(request_id)

    def count_unreported(self) -> None:
        """Count a reservation that was left without a word."""
        self._left_unreported += 1

    async def _obtain(self, token_count: int, max_tokens: int, requests: int, deadline: float | None) -> Held:
        """Wait for a grant."""
        check_reserve(token_count, max_tokens, requests, deadline)
        order = Order(app=_APP, tokens=token_count, max_tokens=max_tokens, requests=requests)
        asked = self._gate.clock()
        try:
            grant = self._gate.try_now(order) or await self._wait(order, deadline)
        except NeverFitsError:
            raise TokenLimitExceeded(self._too_large(order), token_count=token_count, permanent=True) from None
        except QueueFullError:
            raise TokenLimitExceeded(
                "too many reservations wait already", token_count=token_count, retry_after=self._retry_after(order)
            ) from None
        waited = self._gate.clock() - asked
        if grant is None and self._gate.closed:
            raise QuotaError("this LocalQuota was closed, so it grants nothing more")
        if grant is None:
            raise TokenLimitExceeded(
                f"no quota for {token_count} tokens within {waited:.1f} s",
                token_count=token_count,
                waited=waited,
                retry_after=self._retry_after(order),
            )
        return Held(self, grant.id, waited=waited, suggested_max_tokens=self._gate.pool.suggestion(_APP))

    async def _wait(self, order: Order, deadline: float | None) -> Grant | None:
        """Stand in line; a grant that arrives at a cancelled caller goes back."""
        poll = self._gate.join(order, deadline=deadline)
        try:
            grant = await self._gate.wait(poll, deadline)
        except asyncio.CancelledError:
            self._gate.leave(poll)
            raise
        if grant is None:
            self._gate.leave(poll)
        return grant

    def _retry_after(self, order: Order) -> float | None:
        """Return in how many seconds the order would fit if nobody else asked."""
        now = self._gate.clock()
        seconds = self._gate.pool.ledger.earliest(order, now) - now
        return seconds if seconds < math.inf else None

    def _too_large(self, order: Order) -> str:
        """Say why an order can never fit."""
        limits = self._limits
        tokens = limits.charge(order.tokens, order.max_tokens)
        return (
            f"{tokens} tokens and {order.requests} requests can never fit into "
            f"{limits.tpm} tokens and {limits.rpm} requests per minute"
        )
