"""Invariant I9 at length: as `test_store_machine.py`, with more and longer histories, and faults that hide well.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 1,500 histories and every fault).
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_faults import Fault, unsaid
    from store_machine import StoreMachine, must_be_found, prepared, try_histories
    from valkey_process import ValkeyProcess
else:
    TESTS = Path(__file__).parents[1]
    ValkeyProcess = runpy.run_path(str(TESTS / "valkey_process.py"))["ValkeyProcess"]
    unsaid = runpy.run_path(str(TESTS / "store_faults.py"))["unsaid"]
    MACHINE = runpy.run_path(str(TESTS / "store_machine.py"))
    StoreMachine, must_be_found = MACHINE["StoreMachine"], MACHINE["must_be_found"]
    prepared, try_histories = MACHINE["prepared"], MACHINE["try_histories"]

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
HISTORIES = 1_500 if FULL else 25


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


@pytest.fixture
def machine(valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch) -> type[StoreMachine]:
    return prepared(monkeypatch, valkey.url)


def test_long_histories_are_decided_alike_in_memory_with_a_journal_and_through_a_store(
    machine: type[StoreMachine],
) -> None:
    try_histories(machine, examples=HISTORIES, steps=40)


@pytest.mark.skipif(not FULL, reason="takes minutes to find")
@pytest.mark.parametrize(
    "fault",
    [pytest.param(unsaid(name), id=f"unsaid {name}") for name in ("place:", "turns", "inforce")],
)
def test_long_histories_find(fault: Fault, machine: type[StoreMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    must_be_found(machine)
