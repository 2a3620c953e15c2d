"""What is asked of a pool, what was granted, and how a grant stands: the words of the ledger."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What one caller asks of a pool: the charge in tokens, the requests it will send, and the key that names it."""

    app: str
    tokens: int
    requests: int = 1
    key: str | None = None


class State(enum.Enum):
    """How a grant stands; it ends once."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    MOVED = "moved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """How one grant stands, whole: what a journal keeps, and what a ledger is restored from.

    Attributes:
        id: The grant's id.
        order: What was asked for.
        at: When it was granted, or last moved to, in seconds of the ledger's clock.
        tokens: What it is charged now.
        requests: The requests it is charged now.
        state: How it stands.
    """

    id: str
    order: Order
    at: float
    tokens: int
    requests: int
    state: State


class Grant:
    """One charge in the log."""

    __slots__ = ("at", "expires", "id", "order", "paced_until", "renewed", "requests", "state", "tokens")

    def __init__(
        self, grant_id: str, order: Order, *, at: float, expires: float, paced_until: float, renewed: bool
    ) -> None:
        self.id = grant_id
        self.order = order
        self.tokens = order.tokens
        self.requests = order.requests
        self.at = at
        self.expires = expires
        self.paced_until = paced_until
        self.renewed = renewed
        self.state = State.OPEN

    def charge(self) -> Charge:
        """Return how it stands, as something that no longer changes."""
        return Charge(
            id=self.id, order=self.order, at=self.at, tokens=self.tokens, requests=self.requests, state=self.state
        )
