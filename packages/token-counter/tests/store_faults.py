"""Faults to plant into counters that share a store or keep a journal, each of which the machine must find."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from penstock_token_counter import _journal, _replay
from penstock_token_counter._replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from penstock_token_counter._replay import History
    from penstock_token_counter._store_facts import Kept
    from penstock_token_counter._words import Word

    Fault = Callable[[pytest.MonkeyPatch], None]


def unheard(kind: type[Word]) -> Fault:
    """Have counters not hear what the others say in one kind of words."""

    def plant(plant: pytest.MonkeyPatch) -> None:
        hear = Replica._hear

        def hear_less(replica: Replica, word: Word, now: float) -> None:
            if not isinstance(word, kind):
                hear(replica, word, now)

        plant.setattr(Replica, "_hear", hear_less)

    return plant


def unsaid(prefix: str) -> Fault:
    """Have the store lack, for those who load, what has such a name."""

    def plant(plant: pytest.MonkeyPatch) -> None:
        load = Replica.load

        def load_less(replica: Replica, kept: Kept, now: float) -> None:
            fields = {name: value for name, value in kept.fields.items() if not name.startswith(prefix)}
            load(replica, kept._replace(fields=fields), now)

        plant.setattr(Replica, "load", load_less)

    return plant


def twice_the_numbers(plant: pytest.MonkeyPatch) -> None:
    """Have those who load give ids that were given before."""
    load = Replica.load
    plant.setattr(Replica, "load", lambda replica, kept, now: load(replica, kept._replace(granted=0), now))


def a_journal_without(what: str) -> Fault:
    """Have a counter that goes on from its journal not find the charges there, or the lessons."""

    def plant(plant: pytest.MonkeyPatch) -> None:
        read = _replay.read_history
        nothing: dict[str, Any] = {what: {}}

        def read_less(data: bytes) -> History:
            history = read(data)
            return dataclasses.replace(history, **nothing)

        plant.setattr(_journal, "read_history", read_less)

    return plant
