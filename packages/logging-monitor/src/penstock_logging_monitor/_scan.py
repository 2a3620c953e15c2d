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
    """It is not ours to judge."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What can be seen of a log file that nobody writes.

    Attributes:
        name: Its name in the directory.
        size: Bytes.
        header: Its first line; None when that is not a header of ours.
        header_size: Bytes of the first line, with its line feed.
    """

    name: str
    size: int
    header: Header | None
    header_size: int


def decide(facts: LogFacts, *, shipping: bool) -> Action:
    """Say what becomes of a file, from what is in it and, of its name, only whether it is a current one.

    Args:
        facts: What is seen of it.
        shipping: Whether there is an archive.
    """
    if facts.size == 0 and is_current(facts.name):
        return Action.REMOVE
    if facts.header is None:
        return Action.LEAVE
    if facts.size <= facts.header_size:
        return Action.REMOVE
    if is_current(facts.name):
        return Action.ADOPT
    return Action.SHIP if shipping else Action.KEEP
