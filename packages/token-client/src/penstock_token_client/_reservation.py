"""The one life of a reservation, whoever handed out its quota."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from ._arguments import count_fault
from ._ratelimit import RateLimit
from ._usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

    from ._usage import CallStatus


class Account(Protocol):
    """Where a reservation is charged."""

    async def settle(self, request_id: str, usage: Usage) -> bool | None:
        """Take a report; False for an id that is not known any more, None if the report did not arrive."""

    async def give_back(self, request_id: str) -> bool | None:
        """Take back a grant; False and None as in `settle`."""

    def count_unreported(self) -> None:
        """Note that the use of a reservation stays unknown."""


class Held:
    """Quota that is held; it ends once, by `report` or by `release`."""

    def __init__(
        self, account: Account, request_id: str, *, waited: float = 0.0, suggested_max_tokens: int | None = None
    ) -> None:
        self.request_id = request_id
        self.waited = waited
        self.suggested_max_tokens = suggested_max_tokens
        self._account = account
        self._ended = False

    def __repr__(self) -> str:
        """Name the reservation."""
        return f"<Reservation {self.request_id}>"

    async def report(
        self,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        headers: Mapping[str, str] | None = None,
        status: CallStatus = "ok",
    ) -> bool:
        """Settle with what the call really used."""
        fault = count_fault("prompt_tokens", prompt_tokens) or count_fault("completion_tokens", completion_tokens)
        if fault:
            raise ValueError(fault)
        usage = Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            status=status,
            ratelimit=RateLimit.from_headers(headers or {}),
        )
        return await self._end(self._account.settle(self.request_id, usage))

    async def release(self) -> bool:
        """Give the quota back; only right when nothing was sent."""
        return await self._end(self._account.give_back(self.request_id))

    def close(self) -> None:
        """End a reservation that its holder left: the full estimate stays charged."""
        if not self._ended:
            self._ended = True
            self._account.count_unreported()

    async def _end(self, telling: Awaitable[bool | None]) -> bool:
        """Tell the account how it ended; if that fails, or is cancelled, the use stays unknown."""
        first, self._ended = not self._ended, True
        known: bool | None = None
        try:
            known = await telling
        finally:
            if known is None and first:
                self._account.count_unreported()
        return bool(known)


@asynccontextmanager
async def holding(obtaining: Awaitable[Held]) -> AsyncIterator[Held]:
    """Hold what was obtained for the length of a block."""
    held = await obtaining
    try:
        yield held
    finally:
        held.close()
