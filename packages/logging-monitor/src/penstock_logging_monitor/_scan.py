"""What a monitor does with a log file whose lock it holds; a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from penstock_logging_monitor._names import is_current

if TYPE_CHECKING:
    from penstock_logging_monitor._header import Header


class Action(Enum):
    """What to do with a file."""

    REMOVE = auto()
    """Nothing was ever logged into it."""
    ADOPT = auto()
    """Its writer is dead: give it an immutable name, then decide again."""
    SHIP = auto()
    """It is complete and belongs into the archive."""
    KEEP = auto()
    """It is complete and stays here, because there is no archive."""
    LEAVE = auto()
    """It is not ours to judge, or not yet."""
    AWAIT_LEASE = auto()
    """It was written on another host, where the lock may be held unseen."""
    EXPIRE = auto()
    """It stayed here for as long as it was to."""
    COPY = auto()
    """Nobody can know whether its writer lives: what it holds belongs into the archive, and the file stays."""
    QUARANTINE = auto()
    """Its first line is a damaged header of ours: nothing can be said of its lines, and somebody should see it."""


class Trouble(Enum):
    """What can be wrong with a first line that begins as a header of ours does."""

    HALF_WRITTEN = "its header is half-written: its writer died before it could log anything"
    DAMAGED = "its header is damaged"
    NEWER = "its header is of a newer format: upgrade this monitor"


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What can be seen of a log file that nobody writes.

    Attributes:
        name: Its name in the directory.
        size: Bytes.
        header: Its first line; None when that is not a header of ours.
        header_size: Bytes of the first line, with its line feed.
        written: When it was last written, in epoch seconds.
        trouble: What is wrong with the header, if there should be one.
    """

    name: str
    size: int
    header: Header | None
    header_size: int
    written: float = 0.0
    trouble: Trouble | None = None


def decide(facts: LogFacts, *, shipping: bool) -> Action:
    """Say what becomes of a file, from what is in it and, of its name, only whether it is a current one.

    Args:
        facts: What is seen of it.
        shipping: Whether there is an archive.
    """
    if facts.size == 0 and is_current(facts.name):
        return Action.REMOVE
    if facts.trouble in (Trouble.HALF_WRITTEN, Trouble.DAMAGED):
        return Action.QUARANTINE
    if facts.header is None:
        return Action.LEAVE
    if facts.size <= facts.header_size:
        return Action.REMOVE
    if is_current(facts.name):
        return Action.ADOPT
    return Action.SHIP if shipping else Action.KEEP
