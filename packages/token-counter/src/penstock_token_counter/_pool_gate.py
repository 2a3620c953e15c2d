"""What serves one pool, be it this process' own or shared with others: see `SoleGate` and `SharedGate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Set as AbstractSet

    from penstock_token_client.accounting import Grant, Order, Pool, Usage

    Foreign: TypeAlias = Any
    """A poll, which goes back only to the gate that it is of."""


class Poll(Protocol):
    """One caller's wait for one answer."""

    future: asyncio.Future[Grant | None]

    @property
    def ticket(self) -> str:
        """What names its place."""


class PoolGate(Protocol):
    """Decides who is granted what."""

    @property
    def pool(self) -> Pool:
        """The pool, as far as it is known."""

    @property
    def instances(self) -> AbstractSet[str]:
        """What ids of the pool's grants begin with, or ever began with."""

    @property
    def alive(self) -> bool:
        """Whether no fault of ours has ended it, so that only a new process would help."""

    @property
    def closed(self) -> bool:
        """Whether nothing is granted any more."""

    @property
    def ready(self) -> bool:
        """Whether locks are answered."""

    @property
    def facts(self) -> dict[str, str]:
        """How it stands with what keeps the pool."""

    def clock(self) -> float:
        """Return the time, in seconds of the pool's clock."""

    async def ask(self, order: Order, ticket: str | None, *, wait: float) -> Grant | Foreign | None:
        """Grant the order if it fits and nobody waits; otherwise give its caller a place, if it waits some seconds."""

    async def wait(self, poll: Foreign, seconds: float) -> Grant | None:
        """Wait for the grant; None when the time is over, the gate closes or a later poll took the place."""

    def step_out(self, poll: Foreign) -> None:
        """End a poll and keep the place for the next one; a grant that nobody took goes back."""

    def undeliverable(self, grant: Grant, poll: Foreign) -> None:
        """Take back a grant that its caller never got, unless another answer may have brought it; keep its place."""

    async def settle(self, app: str, grant_id: str, usage: Usage) -> bool:
        """Take the report of a request; tell whether the app has such a grant."""

    async def release(self, app: str, grant_id: str) -> bool:
        """Release a grant whose request was never sent; tell whether the app has it."""

    async def withdraw(self, app: str, key: str) -> bool:
        """Undo what an app asked under a key and never learned of: its place in the line, or its grant."""

    def position(self, poll: Foreign) -> int:
        """Return how many callers of the same app wait before this one."""

    def status(self) -> dict[str, Any]:
        """Return how the pool stands, in the words of the wire."""

    def close(self) -> None:
        """Grant nothing more, and end every poll."""
