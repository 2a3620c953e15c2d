"""A counter that answers as a test scripts it, and remembers what it was asked and told."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from ._arguments import check_reserve, count_fault
from ._errors import TokenCounterUnavailable, TokenLimitExceeded
from ._fake_script import Asked, Away, No, Reported, Yes
from ._ids import DEFAULT_POOL, pool_path, wire_id
from ._quota import Lock
from ._reservation import Held, holding
from ._usage import Usage

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ._quota import Reservation


class FakeCounter:
    """A `Quota` for tests, which stands in for a `TokenClient`: no server, no limit, no waiting.

    It grants everything until `deny` or `outage` say otherwise; each of their steps answers one `lock_tokens` or one
    `reserve`. A `reserve` without a deadline waits over what passes, as the real one does, but in no time: it takes
    the step after, and what it was told to wait shows in the reservation's ``waited``.

    Args:
        app_id: As a `TokenClient` has it.
        base_url: Likewise; nothing is ever sent there.
        pool: Likewise.

    Attributes:
        reservations: What was granted, by `reserve` and by `lock_tokens`, in this order.
        reports: What was reported, repetitions included.
        releases: The ids that were given back, repetitions included.
        status: What `get_status` answers; it says to wait no time, so that a retry helper does not wait either.
        unreported: How many reservations ended without their use being learned.
    """

    def __init__(
        self, app_id: str = "test", base_url: str = "http://counter.invalid", *, pool: str = DEFAULT_POOL
    ) -> None:
        pool_path(pool)
        self.app_id = app_id
        self.base_url = base_url
        self.pool = pool
        self.reservations: list[Asked] = []
        self.reports: list[Reported] = []
        self.releases: list[str] = []
        self.status: dict[str, Any] | None = {"reset_time_seconds": 0.0}
        self.unreported = 0
        self._script: deque[Yes | No | Away] = deque()
        self._ids = (wire_id(f"fake-{number}") for number in itertools.count(1))
        self._ends: dict[str, object] = {}
        self._to_lose = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    @property
    def open(self) -> list[str]:
        """The ids of what was granted and neither reported nor released."""
        return [asked.request_id for asked in self.reservations if asked.request_id not in self._ends]

    def grant(self, times: int = 1, *, suggested_max_tokens: int | None = None) -> None:
        """Grant the next so many wishes, before what is scripted after them."""
        self._script.extend([Yes(suggested_max_tokens=suggested_max_tokens)] * times)

    def deny(self, times: int = 1, *, permanent: bool = False, retry_after: float = 0.0) -> None:
        """Deny the next so many wishes: for want of quota, or because they can never fit.

        Args:
            times: How many.
            permanent: Whether they can never fit.
            retry_after: Seconds after which the quota is said to be there again.
        """
        self._script.extend([No(permanent=permanent, retry_after=retry_after)] * times)

    def outage(self, times: int = 1, *, passing: bool = True) -> None:
        """Give the next so many wishes no answer; one that is not ``passing`` (a wrong key, say) is not waited over."""
        self._script.extend([Away(message="Client error: there was no answer", passing=passing)] * times)

    def lose_reports(self, times: int = 1) -> None:
        """Let the next so many reports and releases not arrive."""
        self._to_lose += times

    def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> AbstractAsyncContextManager[Reservation]:
        """Answer by the script; see `Quota.reserve`."""
        return holding(self._obtain(token_count, max_tokens, requests, deadline))

    async def lock_tokens(self, token_count: int) -> Lock:
        """Answer by the script."""
        fault = count_fault("token_count", token_count)
        if fault:
            return Lock(allowed=False, error=fault, code="invalid")
        match self._next():
            case Away(message=message):
                return Lock(allowed=False, error=message, code="unavailable")
            case No(permanent=True, message=message):
                return Lock(allowed=False, error=message, code="exceeds_quota")
            case No(message=message, retry_after=seconds):
                return Lock(allowed=False, error=message, code="limited", retry_after=seconds)
            case Yes(suggested_max_tokens=suggested):
                asked = self._note(Asked(request_id=next(self._ids), token_count=token_count))
                return Lock(allowed=True, request_id=asked.request_id, suggested_max_tokens=suggested)

    async def report_usage(self, request_id: str, prompt_tokens: int, completion_tokens: int) -> bool:
        """Take a report; False for an id that was not given, and for counts that make no sense."""
        if count_fault("prompt_tokens", prompt_tokens) or count_fault("completion_tokens", completion_tokens):
            return False
        return bool(
            await self.settle(request_id, Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens))
        )

    async def release_tokens(self, request_id: str) -> bool:
        """Take back a lock; False for an id that was not given, or was reported."""
        return bool(await self.give_back(request_id))

    async def get_status(self) -> dict[str, Any] | None:
        """Return `status`."""
        return None if self._closed else self.status

    async def aclose(self) -> None:
        """Answer nothing more."""
        self._closed = True

    async def settle(self, request_id: str, usage: Usage) -> bool | None:
        """Take a reservation's report."""
        report = Reported(
            request_id=request_id,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            status=usage.status,
        )
        if self._lost():
            return None
        self.reports.append(report)
        return self._end(request_id, report)

    async def give_back(self, request_id: str) -> bool | None:
        """Take back a reservation."""
        if self._lost():
            return None
        self.releases.append(request_id)
        return self._end(request_id, "released")

    def count_unreported(self) -> None:
        """Count a reservation that was left without a word."""
        self.unreported += 1

    async def _obtain(self, token_count: int, max_tokens: int, requests: int, deadline: float | None) -> Held:
        """Follow the script to a grant or an error."""
        check_reserve(token_count, max_tokens, requests, deadline)
        waited = 0.0
        while not isinstance(step := self._next(), Yes):
            if isinstance(step, Away) and (deadline is not None or not step.passing):
                raise TokenCounterUnavailable(step.message, url=self.base_url)
            if isinstance(step, No):
                if step.permanent or deadline is not None:
                    raise _exceeded(step, token_count, deadline or 0.0)
                waited += step.retry_after
        asked = Asked(
            request_id=next(self._ids),
            token_count=token_count,
            max_tokens=max_tokens,
            requests=requests,
            deadline=deadline,
        )
        return Held(self, self._note(asked).request_id, waited=waited, suggested_max_tokens=step.suggested_max_tokens)

    def _next(self) -> Yes | No | Away:
        """Return the next step of the script, a grant if there is none."""
        if self._closed:
            return Away(message="Client error: this client was closed", passing=False)
        return self._script.popleft() if self._script else Yes()

    def _note(self, asked: Asked) -> Asked:
        """Remember a grant."""
        self.reservations.append(asked)
        return asked

    def _lost(self) -> bool:
        """Tell whether this piece of news does not arrive."""
        lost = self._closed or self._to_lose > 0
        self._to_lose = max(0, self._to_lose - 1)
        return lost

    def _end(self, request_id: str, end: object) -> bool:
        """Let a grant end once; the same end again is known, another is not."""
        if all(asked.request_id != request_id for asked in self.reservations):
            return False
        return self._ends.setdefault(request_id, end) == end


def _exceeded(step: No, token_count: int, waited: float) -> TokenLimitExceeded:
    """Raise a denial as `reserve` raises it."""
    return TokenLimitExceeded(
        step.message,
        token_count=token_count,
        waited=0.0 if step.permanent else waited,
        permanent=step.permanent,
        retry_after=None if step.permanent else step.retry_after,
    )
