"""What a fork must not break: a child that inherits a log file gives it up and opens its own.

Two processes that share a descriptor share its lock. A child that kept the descriptor would keep its dead parent's file
locked; one that *unlocked* it would tell every monitor that the living parent is dead. Closing it does neither.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that owns a descriptor across a fork."""

    def before_fork(self) -> None:
        """Come to a state in which the process may be copied."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Give up what belongs to the parent."""


_owners: weakref.WeakSet[Forkable] = weakref.WeakSet()


def watch(owner: Forkable) -> None:
    """Call the owner's methods around every fork, as long as it lives."""
    _owners.add(owner)


def _before() -> None:
    for owner in list(_owners):
        owner.before_fork()


def _in_parent() -> None:
    for owner in list(_owners):
        owner.after_fork_in_parent()


def _in_child() -> None:
    for owner in list(_owners):
        owner.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
