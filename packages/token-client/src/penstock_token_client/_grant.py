"""What is asked of a pool, what was granted, and how a grant stands: the words of the ledger."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Order(NamedTuple):
    """What one caller asks of a pool, by the caller's own estimate.

    Attributes:
        app: Who asks.
        tokens: The whole estimate, prompt and completion.
        max_tokens: The part of it that is known exactly.
        requests: How many requests will be sent.
        key: Names the order, so that a repetition is known as one.
    """

    app: str
    tokens: int
    max_tokens: int = 0
    requests: int = 1
    key: str | None = None


State = Literal["open", "settled", "released", "moved"]
"""How a grant stands; it ends once: its use is reported, its request was never sent, or it was charged anew later."""


class Charge(NamedTuple):
    """How one grant stands, whole: what a journal keeps, and what a ledger is restored from.

    Attributes:
        id: The grant's id.
        order: What was asked for.
        at: When it was granted, or last moved to, in seconds of the ledger's clock.
        state: How it stands.
        used: Tokens that it was reported to have used; None as long as nobody said.
        exact: Whether ``used`` is what it is charged, and not only the least.
    """

    id: str
    order: Order
    at: float
    state: State = "open"
    used: int | None = None
    exact: bool = False


class Grant:
    """One charge in the log.

    Attributes:
        tokens: What it is charged now.
        requests: The requests it is charged now.
        recent: Whether it still counts in the sub-window.
        renewed: Whether an earlier answer may have brought it to its caller already.
    """

    __slots__ = ("at", "exact", "id", "order", "recent", "renewed", "requests", "state", "tokens", "used")

    def __init__(self, grant_id: str, order: Order, at: float, tokens: int) -> None:
        self.id = grant_id
        self.order = order
        self.at = at
        self.tokens = tokens
        self.requests = order.requests
        self.recent = True
        self.renewed = False
        self.state: State = "open"
        self.used: int | None = None
        self.exact = False

    def charge(self) -> Charge:
        """Return how it stands, as something that no longer changes."""
        return Charge(self.id, self.order, self.at, self.state, self.used, self.exact)
