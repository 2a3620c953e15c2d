"""The failure policy: a table of facts and outcomes, and its bounds as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_servicebus._policy import MAX_DELAY, MAX_PAUSE, DeadLetter, Facts, Policy, Repeat, Retry, facts_of

CANARY = "CANARY what the user wrote"
unit = st.floats(0, 1, exclude_max=True)


AWAY_FOR_9_S = Facts("FactError", environment=True, retry_after=9)


class FactError(Exception):
    def __init__(self, **facts: object) -> None:
        super().__init__(CANARY)
        vars(self).update(facts)


def policy(max_retries: int = 5, retry_delay: float = 3.0, random: float = 0.5) -> Policy:
    return Policy(max_retries, retry_delay, lambda: random)


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (FactError(permanent=True), 0, DeadLetter("FactError", "permanent: FactError at attempt 1")),
        (
            FactError(permanent=True, request_id="r-1", status_code=400, code="content_filter"),
            2,
            DeadLetter(
                "FactError",
                "permanent: FactError (code=content_filter, status_code=400, request_id=r-1) at attempt 3",
            ),
        ),
        (FactError(permanent=True, environment=True), 0, DeadLetter("FactError", "permanent: FactError at attempt 1")),
        (FactError(environment=True), 9, Repeat(3.0)),
        (FactError(environment=True, retry_after=10), 9, Repeat(11.0)),
        (FactError(), 0, Retry(3.0)),
        (FactError(), 3, Retry(24.0)),
        (FactError(retry_after=60.0), 0, Retry(66.0)),
        (ValueError(CANARY), 5, DeadLetter("RetriesExhausted", "5 retries used: ValueError at attempt 6")),
    ],
)
def test_facts_decide(error: Exception, attempt: int, expected: object) -> None:
    assert policy().decide(facts_of(error), attempt=attempt, repeats=0) == expected


@given(st.integers(0, 4), st.floats(0.001, 1000), unit)
def test_a_retry_waits_twice_as_long_each_time_give_or_take_a_fifth_and_never_above_the_cap(
    attempt: int, retry_delay: float, random: float
) -> None:
    decision = policy(retry_delay=retry_delay, random=random).decide(Facts("X"), attempt=attempt, repeats=0)

    assert isinstance(decision, Retry)
    ideal = retry_delay * 2**attempt
    assert min(0.8 * ideal, MAX_DELAY) - 1e-9 <= decision.delay <= min(1.2 * ideal, MAX_DELAY) + 1e-9


@given(st.integers(0, 10_000), st.integers(0, 10_000), unit)
def test_the_environment_never_costs_an_attempt_and_never_pauses_for_long(
    attempt: int, repeats: int, random: float
) -> None:
    facts = Facts("X", environment=True)

    decision = policy(random=random).decide(facts, attempt=attempt, repeats=repeats)

    assert isinstance(decision, Repeat)
    assert 0 < decision.delay <= MAX_PAUSE


@given(st.floats(0.001, 3600), unit)
def test_nobody_comes_back_before_the_time_they_were_told(told: float, random: float) -> None:
    for environment in (True, False):
        facts = Facts("X", environment=environment, retry_after=told)
        decision = policy(random=random).decide(facts, attempt=0, repeats=0)
        assert isinstance(decision, Repeat | Retry)
        assert decision.delay >= told


@pytest.mark.parametrize("told", [float("nan"), float("inf"), "soon", True, None, object()])
def test_a_wait_that_cannot_be_believed_is_ignored(told: object) -> None:
    assert facts_of(FactError(retry_after=told)).retry_after is None


def test_only_true_counts_as_a_fact() -> None:
    facts = facts_of(FactError(permanent="no", environment=1))

    assert not facts.permanent
    assert not facts.environment


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([FactError(environment=True), FactError(environment=True, retry_after=9)], AWAY_FOR_9_S),
        ([FactError(environment=True), ValueError()], Facts("ValueError")),
        ([ValueError(), FactError(permanent=True)], Facts("FactError", permanent=True)),
    ],
)
def test_a_group_is_the_environments_fault_only_if_all_of_it_is(members: list[Exception], expected: Facts) -> None:
    nested = ExceptionGroup("outer", [ExceptionGroup("inner", members)])

    assert facts_of(nested) == expected


@given(st.text())
def test_descriptions_quote_no_free_text(text: str) -> None:
    facts = facts_of(FactError(permanent=True, code=f"{CANARY} {text}", request_id=CANARY))

    decision = policy().decide(facts, attempt=0, repeats=0)

    assert isinstance(decision, DeadLetter)
    assert "CANARY" not in decision.description
