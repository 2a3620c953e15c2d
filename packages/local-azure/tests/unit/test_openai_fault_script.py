"""The fault script decides by counting, repeats itself for the same seed, and refuses what cannot be."""

from typing import Any

import pytest

from penstock_local_azure import (
    CutAnswer,
    ErrorEvent,
    InvalidAnswer,
    LateAnswer,
    Refusal,
    ServerError,
    StalledAnswer,
    Throttled,
    TruncatedAnswer,
)
from penstock_local_azure._openai import Faults
from penstock_local_azure._openai._faults import Fault

DEPLOYMENTS = ["gpt-4o", "small", "large"]


def struck(faults: Faults, times: int, operation: Any = "chat", deployment: str = "gpt-4o") -> list[Fault | None]:
    return [faults.strike(operation, deployment) for _ in range(times)]


def test_an_empty_script_lets_all_go_well() -> None:
    assert struck(Faults(DEPLOYMENTS), 3) == [None] * 3


def test_the_nth_request_is_struck_and_no_other() -> None:
    faults = Faults(DEPLOYMENTS)
    faults.add(ServerError(), nth=2)

    assert struck(faults, 4) == [None, ServerError(), None, None]


def test_one_in_so_many_is_struck() -> None:
    faults = Faults(DEPLOYMENTS)
    faults.add(ServerError(), every=2)

    assert struck(faults, 4) == [None, ServerError(), None, ServerError()]


def test_chance_repeats_itself_for_the_same_seed() -> None:
    def drawn(seed: int) -> list[Fault | None]:
        faults = Faults(DEPLOYMENTS)
        faults.add(ServerError(), chance=0.3, seed=seed)
        return struck(faults, 1_000)

    assert drawn(1) == drawn(1) != drawn(2)
    assert 200 < sum(fault is not None for fault in drawn(1)) < 400


def test_the_line_added_first_wins_and_the_others_count_on() -> None:
    faults = Faults(DEPLOYMENTS)
    faults.add(ServerError(500), nth=1)
    faults.add(ServerError(503), every=2)

    assert struck(faults, 2) == [ServerError(500), ServerError(503)]


def test_a_line_counts_only_what_it_is_about() -> None:
    faults = Faults(DEPLOYMENTS)
    faults.add(ServerError(), on="embeddings", deployment="small", nth=2)

    assert struck(faults, 2) == [None, None]
    assert struck(faults, 2, "embeddings", "large") == [None, None]
    assert struck(faults, 2, "embeddings", "small") == [None, ServerError()]


def test_what_is_about_words_does_not_happen_to_embeddings() -> None:
    faults = Faults(DEPLOYMENTS)
    faults.add(Refusal())

    assert struck(faults, 1, "embeddings") == [None]


def test_a_cleared_script_lets_all_go_well_and_keeps_its_account() -> None:
    faults = Faults(DEPLOYMENTS)
    faults.note(ServerError(), "chat", "gpt-4o")
    faults.add(ServerError())

    faults.clear()

    assert struck(faults, 1) == [None]
    assert faults.fired["ServerError", "chat", "gpt-4o"] == 1


def test_the_account_is_told_deployment_by_deployment() -> None:
    faults = Faults(DEPLOYMENTS)
    for fault, on, deployment in (
        (ServerError(), "chat", "a"),
        (ServerError(), "embeddings", "a"),
        (StalledAnswer(), "chat", "b"),
    ):
        faults.note(fault, on, deployment)

    assert faults.account("a") == {"ServerError": 2}
    assert faults.account("b") == {"StalledAnswer": 1}


@pytest.mark.parametrize(
    ("fault", "options", "said"),
    [
        (ServerError(404), {}, "status must be 408 or from 500 to 599, not 404"),
        (ServerError(retry_after=-1), {}, "retry_after must be positive"),
        (Throttled(0), {}, "retry_after must be positive"),
        (LateAnswer(0), {}, "seconds must be positive"),
        (LateAnswer(float("inf")), {}, "seconds must be positive"),
        (CutAnswer(1), {}, "after must be from 0 to less than 1"),
        (ErrorEvent(1.0), {}, "after must be from 0 to less than 1"),
        (ErrorEvent(code=" "), {}, "code must not be blank"),
        (StalledAnswer(-0.1), {}, "after must be from 0 to less than 1"),
        (ServerError(), {"deployment": "gpt-5"}, "deployment must be one of gpt-4o, small, large, not 'gpt-5'"),
        (CutAnswer(0, abrupt=False), {}, "more than 0 unless abrupt"),
        (InvalidAnswer(), {"on": "embeddings"}, "InvalidAnswer cannot happen on embeddings"),
        (TruncatedAnswer(), {"on": "speech"}, "on must be one of chat, embeddings"),
        (ServerError(), {"nth": 0}, "nth and every must be at least 1"),
        (ServerError(), {"every": 0}, "nth and every must be at least 1"),
        (ServerError(), {"chance": 1.1}, "chance must be from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(fault: Fault, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Faults(DEPLOYMENTS).add(fault, **options)


@pytest.mark.parametrize("fault", ["a text", ServerError, None])
def test_what_is_no_fault_is_refused(fault: Any) -> None:
    with pytest.raises(TypeError, match="a fault must be one of the stand-in's"):
        Faults(DEPLOYMENTS).add(fault)
