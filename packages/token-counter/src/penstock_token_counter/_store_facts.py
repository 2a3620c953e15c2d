"""What a store says of a pool, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STORE_STATES = ("none", "connected", "connecting", "away")
"""How a pool may stand with the store, from the best to the worst."""


class Busy(NamedTuple):
    """Another counter has the turn, for so many more seconds at most."""

    seconds: float


class Taken(NamedTuple):
    """A look at a pool, and the turn if it was asked for.

    Attributes:
        now: The time, in seconds of the store's clock.
        server: The process that answers; another one may lack what the last one knew.
        version: The newest version; None if the pool is not known.
        instance: What its ids begin with.
        kept_by: The server that keeps the newest version; None if what it should keep has vanished.
        entries: What is new, in order; None if that cannot be told, so that everything must be loaded.
    """

    now: float
    server: str
    version: int | None
    instance: str | None
    kept_by: str | None
    entries: Sequence[bytes] | None


class Kept(NamedTuple):
    """All that is kept of a pool.

    Attributes:
        version: Its version; None if the pool is not known.
        instance: What its ids begin with.
        opened: When it was new, in seconds of the store's clock.
        granted: How many ids it has given.
        fields: What is kept, by name.
    """

    version: int | None
    instance: str
    opened: float
    granted: int
    fields: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What one counter decided in a turn.

    Attributes:
        version: The version that it builds on.
        server: The server on which that was learned.
        kept_by: The server that kept it.
        instance: What the pool's ids begin with.
        opened: When the pool was new.
        granted: How many ids it has given.
        at: When this was decided.
        entry: What changed, for those who follow.
        fields: How what changed stands now, for those who load; charges with their time.
        dropped: The names of what is no more.
        keep: Seconds for which a charge is kept.
    """

    version: int
    server: str
    kept_by: str | None
    instance: str
    opened: float
    granted: int
    at: float
    entry: bytes
    fields: Mapping[str, tuple[bytes, float | None]]
    dropped: Sequence[str]
    keep: float


def read_taken(answer: Sequence[Any]) -> Taken:
    """Read what the script says."""
    _, now, server, version, instance, _, kept_by, entries = answer
    return Taken(
        now=int(now) / 1e6,
        server=server.decode(),
        version=None if version is None else int(version),
        instance=None if instance is None else instance.decode(),
        kept_by=None if kept_by is None else kept_by.decode(),
        entries=entries,
    )
