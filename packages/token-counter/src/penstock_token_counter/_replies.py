"""What a desk answers to a lock: yes, not yet, never, and why."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from penstock_token_client.protocol import LockAnswer, wire_id

if TYPE_CHECKING:
    from penstock_token_client.accounting import Grant, Order

    from ._paused import PausedError
    from ._pool_gate import Poll, PoolGate

_RETRY_AFTER = 1.0
"""Seconds until a counter that stops is likely to be back, or a full line to have a place."""


class Replies:
    """Words the answers of one pool.

    Args:
        gate: How the pool stands.
        deployment: A name that is passed on to whoever is granted quota.
    """

    def __init__(self, gate: PoolGate, deployment: str | None) -> None:
        self._gate = gate
        self._deployment = deployment

    def granted(self, grant: Grant) -> LockAnswer:
        """Say yes."""
        pool = self._gate.pool
        expires_at = time.time() + grant.at + pool.ledger.terms.span - self._gate.clock()
        return LockAnswer(
            allowed=True,
            request_id=wire_id(grant.id),
            expires_at=int(expires_at * 1000) / 1000,
            suggested_max_tokens=pool.suggestion(grant.order.app),
            deployment=self._deployment,
        )

    def not_yet(self, order: Order, poll: Poll | None, *, ended: bool = False) -> LockAnswer:
        """Say no for now."""
        if self._gate.closed or ended:
            code, message, retry_after = "retry", "ask again", _RETRY_AFTER
        else:
            now = self._gate.clock()
            ledger = self._gate.pool.ledger
            code, message = "limited", "the quota is used up"
            if ledger.terms.paused_until > now:
                code, message = "paused", "the endpoint asked to be left alone for a while"
            retry_after = ledger.earliest(order, now) - now
        return LockAnswer(
            allowed=False,
            code=code,
            message=message,
            retry_after=retry_after if retry_after < math.inf else None,
            ticket=None if poll is None else poll.ticket,
            position=None if poll is None else self._gate.position(poll),
        )

    def full(self) -> LockAnswer:
        """Say that there is no place to wait."""
        depth = self._gate.pool.queue.sharing.max_depth
        message = f"{depth} callers of this app wait already, and no more may wait"
        return LockAnswer(allowed=False, code="queue_full", message=message, retry_after=_RETRY_AFTER)

    def paused(self, error: PausedError) -> LockAnswer:
        """Say no while no grant could be kept."""
        return LockAnswer(allowed=False, code="paused", message=str(error), retry_after=error.retry_after)

    def never(self, order: Order) -> LockAnswer:
        """Say no for good."""
        limits = self._gate.pool.ledger.limits
        tokens = limits.charge(order.tokens, order.max_tokens)
        message = (
            f"{tokens} tokens and {order.requests} requests, headroom included, can never fit into "
            f"{limits.tpm} tokens and {limits.rpm} requests per minute"
        )
        return LockAnswer(allowed=False, code="exceeds_quota", message=message)
