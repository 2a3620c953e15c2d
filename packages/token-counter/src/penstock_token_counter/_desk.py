"""What one pool says to the messages of the wire: orders for its gate, and answers from it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock_token_client.accounting import Gate, KeyReusedError, NeverFitsError, Order, QueueFullError
from penstock_token_client.protocol import EndAnswer, ProtocolError, grant_id

from ._foreign import ForeignIds
from ._journal import JournalPausedError
from ._replies import Replies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock_token_client.accounting import Grant, Limits, Poll, Sharing
    from penstock_token_client.protocol import LockAnswer, LockRequest, ReleaseRequest, ReportRequest

    from ._journal import Journal

    TellPlace = Callable[[str], Awaitable[None]]

JOURNAL_STATES = ("none", "replaying", "writing", "paused")


class UnknownIdError(LookupError):
    """Raised for an id that no counter can have given."""


class Given(NamedTuple):
    """A grant on its way to its caller, and the poll that waited for it, if one did."""

    grant: Grant
    poll: Poll | None = None


class Desk:
    """Serves one pool.

    Args:
        pool: Its name.
        limits: Its limits.
        assume_idle: Grant from the start, as if nothing had been sent in the last minute.
        sharing: How its apps share it; None: all alike.
        journal: Where every change is kept; it knows what was sent in the last minute.
        deployment: A name that is passed on to whoever is granted quota.
    """

    def __init__(
        self,
        pool: str,
        limits: Limits,
        *,
        assume_idle: bool = False,
        sharing: Sharing | None = None,
        journal: Journal | None = None,
        deployment: str | None = None,
    ) -> None:
        self.pool = pool
        recorder = None if journal is None else journal.recorder(pool)
        assume_full = not assume_idle and journal is None
        self.gate = Gate(limits, assume_full=assume_full, sharing=sharing, on_change=recorder)
        self._journal = journal
        self._replies = Replies(self.gate, deployment)
        self._deployment = deployment
        self._refused = 0
        self._foreign = ForeignIds(
            pool, instance=self.gate.pool.instance, since=self.gate.clock() + self.gate.pool.ledger.terms.span
        )

    @property
    def ready(self) -> bool:
        """Whether locks are answered: what was granted before is known, and the counter does not stop."""
        return not self.gate.closed and (self._journal is None or self._journal.ready)

    def opened(self) -> None:
        """Note that what was granted before is known."""
        self._foreign.adopt(charge.id for charge in self.gate.pool.ledger.charges(self.gate.clock()))

    async def lock(self, message: LockRequest, tell_place: TellPlace | None = None) -> tuple[LockAnswer, Given | None]:
        """Grant quota, now or within the seconds that the caller waits, and durably before the caller learns of it.

        Cancelled, it keeps the caller's place for a moment, because callers behind a proxy come back.

        Args:
            message: What is asked.
            tell_place: Is told the caller's ticket as soon as it waits.

        Returns:
            The answer, and what is `undeliverable` if the answer does not reach the caller.

        Raises:
            ProtocolError: The idempotency key names another request.
        """
        if self._journal is None:
            return await self._decide(message, tell_place)
        await self._journal.replayed()
        if self._journal.paused:
            return self._replies.paused(), None
        answer, given = await self._decide(message, tell_place)
        if given is None:
            return answer, None
        try:
            await self._journal.commit()
        except JournalPausedError:
            self.undeliverable(given)
            return self._replies.paused(), None
        except asyncio.CancelledError:
            self.undeliverable(given)
            raise
        return answer, given

    async def _decide(self, message: LockRequest, tell_place: TellPlace | None) -> tuple[LockAnswer, Given | None]:
        """Grant quota in memory."""
        order = Order(
            app=message.app_id,
            tokens=message.token_count,
            max_tokens=message.max_tokens,
            requests=message.requests,
            key=message.idempotency_key,
        )
        try:
            grant = self.gate.try_now(order)
        except NeverFitsError:
            self._refused += 1
            return self._replies.never(order), None
        except KeyReusedError:
            raise ProtocolError("idempotency_key", "idempotency_key names another request already") from None
        if grant is not None:
            return self._replies.granted(grant), Given(grant)
        if message.wait_seconds > 0 and not self.gate.closed:
            return await self._wait(order, message, tell_place)
        return self._replies.not_yet(order, None), None

    def undeliverable(self, given: Given) -> None:
        """Take back a grant whose answer could not be written, forget its key, and keep its place in the line."""
        self.gate.give_back(given.grant, given.poll)

    async def report(self, message: ReportRequest) -> EndAnswer:
        """Settle what a request used.

        Raises:
            UnknownIdError: The id is none of ours.
            JournalPausedError: It is noted, and may be forgotten if the counter is killed now.
        """
        await self._replayed()
        grant_id = _ours(message.request_id)
        known = self._is_of(message.app_id, grant_id) and self.gate.settle(grant_id, message.usage())
        await self._commit()
        return EndAnswer(success=True, known=known)

    async def release(self, message: ReleaseRequest) -> EndAnswer:
        """Take back a grant, or a wish, whose request was never sent.

        Raises:
            UnknownIdError: The id is none of ours.
            JournalPausedError: It is noted, and may be forgotten if the counter is killed now.
        """
        await self._replayed()
        if message.request_id is not None:
            grant_id = _ours(message.request_id)
            known = self._is_of(message.app_id, grant_id) and self.gate.release(grant_id)
        else:
            known = self.gate.withdraw(message.app_id, message.idempotency_key or "")
        await self._commit()
        return EndAnswer(success=True, known=known)

    def status(self) -> dict[str, Any]:
        """Say how the pool stands."""
        return {
            "pool": self.pool,
            **self.gate.status(),
            "refused": self._refused,
            "foreign_ids": self._foreign.count,
            "journal": self._journal_state(),
            "deployment": self._deployment,
        }

    def _is_of(self, app: str, grant_id: str) -> bool:
        """Tell whether a grant is in the window and belongs to an app; ids are easily guessed."""
        now = self.gate.clock()
        grant = self.gate.pool.ledger.named(grant_id, now)
        if grant is None:
            self._foreign.note(grant_id, now)
        return grant is not None and grant.order.app == app

    def _journal_state(self) -> str:
        """Return which of `JOURNAL_STATES` the journal is in."""
        if self._journal is None:
            return "none"
        if not self._journal.ready:
            return "replaying"
        return "paused" if self._journal.paused else "writing"

    async def _replayed(self) -> None:
        """Wait until what was granted before is known."""
        if self._journal is not None:
            await self._journal.replayed()

    async def _commit(self) -> None:
        """Wait until what was decided is durable."""
        if self._journal is not None:
            await self._journal.commit()

    async def _wait(
        self, order: Order, message: LockRequest, tell_place: TellPlace | None
    ) -> tuple[LockAnswer, Given | None]:
        """Stand in line for one poll."""
        try:
            poll = self.gate.join(order, message.ticket)
        except QueueFullError:
            return self._replies.full(), None
        try:
            if tell_place is not None and not poll.future.done():
                await tell_place(poll.waiter.ticket)
            grant = await self.gate.wait(poll, message.wait_seconds)
        except asyncio.CancelledError:
            self.gate.step_out(poll)
            raise
        if grant is not None:
            return self._replies.granted(grant), Given(grant, poll)
        ended = poll.future.done()  # the gate closed, or a later poll took this place
        self.gate.step_out(poll)
        return self._replies.not_yet(order, poll, ended=ended), None


def _ours(request_id: str) -> str:
    """Return the grant that an id names."""
    grant = grant_id(request_id)
    if grant is None:
        raise UnknownIdError("request_id is none that a token counter gives")
    return grant
