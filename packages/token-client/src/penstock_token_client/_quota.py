"""The interface that everything which hands out quota satisfies, and what its calls answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from ._usage import CallStatus


class _Answer(NamedTuple):
    """What unpacking a `Lock` gives."""

    allowed: bool
    request_id: str | None
    error: str | None


class Lock(_Answer):
    """The answer to one `lock_tokens`: the tuple ``allowed, request_id, error``, with facts beside it.

    Attributes:
        allowed: Whether the tokens are locked.
        request_id: What to report or release; None unless allowed.
        error: Why not, in words; None if allowed.
        code: ``"ok"`` if allowed. Otherwise why not, for programs: ``"limited"``, ``"queue_full"``,
            ``"exceeds_quota"``, ``"paused"`` or ``"retry"`` from the counter, ``"invalid"`` for a bad argument,
            ``"unavailable"`` for a fault.
        retry_after: Seconds after which asking again may help, if known.
        suggested_max_tokens: A lower ``max_tokens`` that is usually enough, if the counter has learned one.
    """

    code: str
    retry_after: float | None
    suggested_max_tokens: int | None

    def __new__(
        cls,
        *,
        allowed: bool,
        request_id: str | None = None,
        error: str | None = None,
        code: str = "ok",
        retry_after: float | None = None,
        suggested_max_tokens: int | None = None,
    ) -> Self:
        """Put the facts beside the tuple."""
        lock = super().__new__(cls, allowed, request_id, error)
        lock.__dict__.update(code=code, retry_after=retry_after, suggested_max_tokens=suggested_max_tokens)
        return lock

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: an answer does not change."""
        raise AttributeError(f"a Lock is frozen; {name} cannot be set")


class Reservation(Protocol):
    """Quota that is held for one call to the model."""

    @property
    def request_id(self) -> str:
        """The id under which the quota is charged."""

    @property
    def waited(self) -> float:
        """Seconds from asking to getting it."""

    @property
    def suggested_max_tokens(self) -> int | None:
        """A lower ``max_tokens`` that is usually enough, if one has been learned."""

    async def report(
        self,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        headers: Mapping[str, str] | None = None,
        status: CallStatus = "ok",
    ) -> bool:
        """Settle with what the call really used; never raises for faults.

        Args:
            prompt_tokens: As the model's usage says; 0 if it says nothing.
            completion_tokens: Likewise.
            headers: The response's headers, whose rate limit facts travel with the report.
            status: How the call ended.

        Returns:
            Whether the report was taken and its grant was still in the window.
        """

    async def release(self) -> bool:
        """Give the quota back, **only** when nothing was sent; never raises for faults."""


class Quota(Protocol):
    """Whatever hands out quota: `TokenClient`, `LocalQuota` or `Unlimited`."""

    def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> AbstractAsyncContextManager[Reservation]:
        """Wait for quota and hold it for one call.

        Leaving the block without `Reservation.report` or `Reservation.release` leaves the full estimate charged until
        it ages out: the request may have been sent, and what was sent was charged on arrival.

        Args:
            token_count: The whole estimate, prompt and ``max_tokens`` together.
            max_tokens: The part of it that is known exactly and gets no headroom.
            requests: How many requests will be sent.
            deadline: Seconds to wait at most; None waits as long as it takes.

        Raises:
            ValueError: An argument is out of range.
            TokenLimitExceeded: It can never fit, or the deadline passed.
            TokenCounterUnavailable: There is a counter, and it cannot be asked.
        """

    async def lock_tokens(self, token_count: int) -> Lock:
        """Ask once, without waiting; never raises for faults."""

    async def report_usage(self, request_id: str, prompt_tokens: int, completion_tokens: int) -> bool:
        """Report what a locked request used; False if it was not taken or its lock is not known any more."""

    async def release_tokens(self, request_id: str) -> bool:
        """Give back a lock whose request was never sent; False if it was not taken or is not known any more."""

    async def get_status(self) -> dict[str, Any] | None:
        """Return how the pool stands, or None if that cannot be learned."""

    async def aclose(self) -> None:
        """Let go of whatever is held: connections, waiting callers."""
