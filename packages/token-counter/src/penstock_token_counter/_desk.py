"""What one pool says to the messages of the wire: orders for its gate, and answers from it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock_token_client.accounting import Grant, KeyReusedError, NeverFitsError, Order, QueueFullError
from penstock_token_client.protocol import EndAnswer, ProtocolError, grant_id

from ._foreign import ForeignIds
from ._paused import PausedError
from ._replies import Replies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock_token_client.protocol import LockAnswer, LockRequest, ReleaseRequest, ReportRequest

    from ._pool_gate import Poll, PoolGate

    TellPlace = Callable[[str], Awaitable[None]]


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
        gate: What decides.
        deployment: A name that is passed on to whoever is granted quota.
    """

    def __init__(self, pool: str, gate: PoolGate, *, deployment: str | None = None) -> None:
        self.pool = pool
        self.gate = gate
        self._replies = Replies(gate, deployment)
        self._deployment = deployment
        self._refused = 0
        self._foreign = ForeignIds(pool, since=gate.clock() + gate.pool.ledger.terms.span)

    @property
    def ready(self) -> bool:
        """Whether locks are answered."""
        return self.gate.ready

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
        order = Order(
            app=message.app_id,
            tokens=message.token_count,
            max_tokens=message.max_tokens,
            requests=message.requests,
            key=message.idempotency_key,
        )
        try:
            asked = await self.gate.ask(order, message.ticket, wait=message.wait_seconds)
            if asked is None or isinstance(asked, Grant):
                return self._answered(order, asked)
            return await self._wait(order, asked, message.wait_seconds, tell_place)
        except NeverFitsError:
            self._refused += 1
            return self._replies.never(order), None
        except KeyReusedError:
            raise ProtocolError("idempotency_key", "idempotency_key names another request already") from None
        except QueueFullError:
            return self._replies.full(), None
        except PausedError as error:
            return self._replies.paused(error), None

    def undeliverable(self, given: Given) -> None:
        """Take back a grant whose answer could not be written, forget its key, and keep its place in the line."""
        self.gate.undeliverable(given.grant, given.poll)

    async def report(self, message: ReportRequest) -> EndAnswer:
        """Settle what a request used.

        Raises:
            UnknownIdError: The id is none of ours.
            PausedError: It may be forgotten.
        """
        named = _ours(message.request_id)
        return self._ended(named, known=await self.gate.settle(message.app_id, named, message.usage()))

    async def release(self, message: ReleaseRequest) -> EndAnswer:
        """Take back a grant, or a wish, whose request was never sent.

        Raises:
            UnknownIdError: The id is none of ours.
            PausedError: It may be forgotten.
        """
        if message.request_id is None:
            known = await self.gate.withdraw(message.app_id, message.idempotency_key or "")
            return EndAnswer(success=True, known=known)
        named = _ours(message.request_id)
        return self._ended(named, known=await self.gate.release(message.app_id, named))

    def status(self) -> dict[str, Any]:
        """Say how the pool stands."""
        return {
            "pool": self.pool,
            **self.gate.status(),
            "refused": self._refused,
            "foreign_ids": self._foreign.count,
            **self.gate.facts,
            "deployment": self._deployment,
        }

    def _answered(self, order: Order, grant: Grant | None) -> tuple[LockAnswer, Given | None]:
        """Answer somebody who did not wait."""
        if grant is None:
            return self._replies.not_yet(order, None), None
        return self._replies.granted(grant), Given(grant)

    async def _wait(
        self, order: Order, poll: Poll, seconds: float, tell_place: TellPlace | None
    ) -> tuple[LockAnswer, Given | None]:
        """Stand in line for one poll."""
        try:
            if tell_place is not None and not poll.future.done():
                await tell_place(poll.ticket)
            grant = await self.gate.wait(poll, seconds)
        except asyncio.CancelledError:
            self.gate.step_out(poll)
            raise
        if grant is not None:
            return self._replies.granted(grant), Given(grant, poll)
        ended = poll.future.done()  # the gate closed, or a later poll took this place
        self.gate.step_out(poll)
        return self._replies.not_yet(order, poll, ended=ended), None

    def _ended(self, named: str, *, known: bool) -> EndAnswer:
        """Answer a report or a release; an id that is not known may be another counter's."""
        if not known:
            self._foreign.note(named, ours=self.gate.instances, now=self.gate.clock())
        return EndAnswer(success=True, known=known)


def _ours(request_id: str) -> str:
    """Return the grant that an id names."""
    grant = grant_id(request_id)
    if grant is None:
        raise UnknownIdError("request_id is none that a token counter gives")
    return grant
