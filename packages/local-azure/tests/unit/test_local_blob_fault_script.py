"""The Blob stand-in's fault script decides by counting, and refuses what cannot be."""

from typing import Any

import pytest

from penstock_local_azure import (
    Blob,
    CorruptBody,
    CutAnswer,
    CutRequest,
    LateAnswer,
    SlowBody,
    StalledAnswer,
    StorageError,
)
from penstock_local_azure._blob._faults import Fault, Faults


@pytest.fixture
def faults() -> Faults:
    return Faults(["Put Blob", "Get Blob"])


def struck(faults: Faults, times: int, operation: str = "Put Blob", blob: str = "a") -> list[Fault | None]:
    return [faults.strike(operation, "logs", blob) for _ in range(times)]


def test_an_empty_script_lets_all_go_well(faults: Faults) -> None:
    assert struck(faults, 3) == [None] * 3


def test_a_line_counts_only_what_it_is_about(faults: Faults) -> None:
    faults.add(CorruptBody(), on="Get Blob", container="logs", blob="b", nth=2)

    assert struck(faults, 2) == [None, None]
    assert struck(faults, 2, "Get Blob") == [None, None]
    assert struck(faults, 3, "Get Blob", "b") == [None, CorruptBody(), None]


def test_the_line_added_first_wins_and_the_others_count_on(faults: Faults) -> None:
    faults.add(CutRequest(), nth=1)
    faults.add(CutAnswer(), every=2)

    assert struck(faults, 4) == [CutRequest(), CutAnswer(), None, CutAnswer()]


def test_a_cleared_script_lets_all_go_well_and_keeps_its_account(faults: Faults) -> None:
    faults.add(StorageError())
    struck(faults, 2)
    faults.clear()

    assert struck(faults, 1) == [None]
    assert faults.fired == {("StorageError", "Put Blob", "logs"): 2}
    assert faults.account() == [{"fault": "StorageError", "on": "Put Blob", "container": "logs", "count": 2}]


@pytest.mark.parametrize(
    ("fault", "options", "named"),
    [
        (StorageError("NoSuchCode"), {}, "code"),
        (StorageError(retry_after=-1), {}, "retry_after"),
        (CutRequest(1.0), {}, "after"),
        (CutAnswer(-0.1), {}, "after"),
        (CutAnswer(0, abrupt=False), {}, "abrupt"),
        (StalledAnswer(1.5), {}, "after"),
        (LateAnswer(0), {}, "seconds"),
        (SlowBody(0), {}, "bytes_per_second"),
        (CorruptBody(), {"on": "Put Blub"}, "on must be one of Put Blob, Get Blob"),
        (CorruptBody(), {"nth": 0}, "nth"),
        (CorruptBody(), {"chance": 2.0}, "chance"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(faults: Faults, fault: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        faults.add(fault, **options)


def test_what_is_no_fault_is_refused(faults: Faults) -> None:
    with pytest.raises(TypeError, match="str"):
        faults.add("ServerBusy")  # type: ignore[arg-type]


def test_the_operations_are_those_that_are_served() -> None:
    with pytest.raises(ValueError, match=r"Put Block List.*not 'Lease Blob'"):
        Blob().faults.add(StorageError(), on="Lease Blob")
