"""How a reservation waits: long polls, with a ticket that keeps the place, over whatever happens to the counter."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from typing import TYPE_CHECKING

from ._connection import CallError, Connection
from ._errors import QuotaError, TokenCounterUnavailable, TokenLimitExceeded
from .protocol import MAX_WAIT, TICKET_HEADER, LockAnswer, LockRequest

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE = 1.0
"""Seconds beyond the deadline for an answer that is under way."""


class Patience:
    """How long to pause before asking again.

    Args:
        random: Numbers from 0 to 1.
        shortest: The first pause after a fault, in seconds.
        longest: The last.
    """

    def __init__(self, random: Callable[[], float], *, shortest: float = 0.1, longest: float = 5.0) -> None:
        self._random = random
        self._shortest = shortest
        self._longest = longest
        self._faults = 0

    def after_fault(self, took: float) -> float:
        """Return the pause after a try that failed: from try to try twice as long, of which half is random.

        It is counted from the beginning of the try, which ``took`` some seconds: a poll that a proxy cuts after a
        while is asked again almost at once, because a caller who is away for long loses its turn.
        """
        pause = min(math.ldexp(self._shortest, self._faults), self._longest)
        self._faults = min(self._faults + 1, 16)
        return max(pause - took, self._shortest) * (1 + self._random()) / 2

    def after_denial(self, answer: LockAnswer, asked: float, took: float) -> float:
        """Return the pause after a poll without a grant: none where the counter held it as long as it was asked to.

        One that does not hold polls, or not now, is asked again when it says.
        """
        self._faults = 0
        if answer.ticket is not None and took >= asked / 2 > 0:
            return 0.0
        pause = self._shortest if answer.retry_after is None else answer.retry_after
        return min(max(pause, self._shortest), self._longest) * (1 + self._random() / 10)


class Asking:
    """One wish on its way to a grant.

    Args:
        connection: Where to ask.
        wish: What to ask for; its key stays the same however often it is asked.
        patience: How long to pause in between.
        clock: Seconds that never go back.
        deadline: Seconds to wait at most, or None.

    Attributes:
        pending: Whether the counter may hold a place or a grant that nobody here knows of.
    """

    def __init__(
        self,
        connection: Connection,
        wish: LockRequest,
        *,
        patience: Patience,
        clock: Callable[[], float],
        deadline: float | None,
    ) -> None:
        self.pending = False
        self._connection = connection
        self._wish = wish
        self._patience = patience
        self._clock = clock
        self._started = clock()
        self._until = math.inf if deadline is None else self._started + deadline

    @property
    def waited(self) -> float:
        """Seconds since the first try."""
        return self._clock() - self._started

    async def run(self) -> LockAnswer:
        """Ask until it is granted.

        Raises:
            TokenLimitExceeded: It can never fit, or the deadline passed.
            TokenCounterUnavailable: The counter refuses to be asked, or was out of reach when the deadline passed.
        """
        while True:
            began = self._clock()
            try:
                answer, pause = await self._poll()
            except CallError as fault:
                failure: QuotaError = self._unavailable(fault)
                failure.__cause__ = fault  # also if it is raised after the pause
                if not fault.passing or self._left() <= 0:
                    raise failure from fault
                pause = self._patience.after_fault(self._clock() - began)
            else:
                if answer.allowed:
                    return answer
                failure = self._denied(answer)
                if failure.permanent:
                    raise failure
            await asyncio.sleep(min(pause, max(0.0, self._left())))
            if self._left() <= 0:
                raise failure

    async def _poll(self) -> tuple[LockAnswer, float]:
        """Ask once; return the answer and how long to pause if it is no."""
        asked = min(MAX_WAIT, max(0.0, self._left()))
        self._wish = dataclasses.replace(self._wish, wait_seconds=asked)
        began = self._clock()
        self.pending = True
        answer = LockAnswer.read(
            await self._connection.post(
                "lock",
                self._wish.to_json(),
                held=asked,
                within=max(0.0, self._left()) + _GRACE,
                on_headers=lambda headers: self._keep_place(headers.get(TICKET_HEADER)),
            )
        )
        self.pending = not answer.allowed and answer.ticket is not None
        self._keep_place(answer.ticket)
        return answer, self._patience.after_denial(answer, asked, self._clock() - began)

    def _keep_place(self, ticket: str | None) -> None:
        """Name the place that the counter gave, from the next poll on."""
        if ticket:
            self._wish = dataclasses.replace(self._wish, ticket=ticket)

    def _left(self) -> float:
        """Return the seconds until the deadline."""
        return self._until - self._clock()

    def _denied(self, answer: LockAnswer) -> TokenLimitExceeded:
        """Say why there is no grant."""
        permanent = answer.code == "exceeds_quota"
        return TokenLimitExceeded(
            answer.message or f"no quota for {self._wish.token_count} tokens within {self.waited:.1f} s",
            token_count=self._wish.token_count,
            waited=self.waited,
            permanent=permanent,
            retry_after=None if permanent else answer.retry_after,
        )

    def _unavailable(self, fault: CallError) -> TokenCounterUnavailable:
        """Say why there is no answer."""
        return TokenCounterUnavailable(
            f"no answer from the token counter at {self._connection.base_url} for {self.waited:.1f} s; {fault}",
            url=self._connection.base_url,
            status=fault.status,
        )
