"""The account at the end of a run: sets of ids, never a difference of two counts."""

import json
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from feedback_worker._audit import quota_facts
from feedback_worker._audit_logs import Shipped, log_facts
from feedback_worker._audit_messages import FarEnds, latency_facts, message_facts, sample_answer


def message(message_id: str, *, origin: str | None = None, **more: Any) -> Any:
    properties = {b"penstock-origin-id": origin.encode()} if origin is not None else None
    return SimpleNamespace(**{"message_id": message_id, "application_properties": properties, **more})


def found(*, results: list[Any] = (), dead: list[Any] = (), waiting: list[Any] = ()) -> FarEnds:  # type: ignore[assignment]
    return FarEnds(list(results), list(dead), list(waiting))


def test_every_message_is_found_at_exactly_one_end() -> None:
    ends = found(
        results=[message("a/0", origin="a"), message("b/0", origin="b")],
        dead=[message("c#r2", origin="c", dead_letter_reason="TooManyAttempts")],
        waiting=[message("d")],
    )

    facts = message_facts({"a", "b", "c", "d", "e"}, ends, {"a/0"})

    assert facts == {
        "in": 5,
        "answered": 2,
        "dead_lettered": 1,
        "duplicates": 0,
        "suppressed": 1,
        "lost": 1,
        "remaining": 1,
        "dead_letter_reasons": {"TooManyAttempts": 1},
    }


def test_an_origin_found_twice_is_one_duplicate_wherever_it_lies() -> None:
    ends = found(
        results=[
            message("1", origin="a"),
            message("2", origin="a"),
            message("3", origin="a"),
            message("4", origin="b"),
        ],
        dead=[message("b", dead_letter_reason="Invalid")],
    )

    facts = message_facts({"a", "b"}, ends, set())

    assert (facts["answered"], facts["dead_lettered"], facts["duplicates"], facts["lost"]) == (2, 1, 2, 0)


def test_messages_of_other_runs_are_none_of_ours() -> None:
    ends = found(
        results=[message("x/0", origin="x")], dead=[message("y", dead_letter_reason="Old")], waiting=[message("z")]
    )

    facts = message_facts({"a"}, ends, set())

    assert (facts["answered"], facts["dead_lettered"], facts["remaining"], facts["lost"]) == (0, 0, 0, 1)


def test_a_message_that_is_answered_and_still_lies_on_the_in_queue_is_not_remaining() -> None:
    ends = found(results=[message("a/0", origin="a")], waiting=[message("a")])

    facts = message_facts({"a"}, ends, set())

    assert (facts["answered"], facts["remaining"], facts["lost"]) == (1, 0, 0)


def test_latency_runs_from_first_enqueued_to_result_enqueued() -> None:
    def result(origin: str, enqueued_ms: int, seconds_later: float) -> Any:
        properties = {b"penstock-origin-id": origin.encode(), b"penstock-enqueued": enqueued_ms}
        arrived = datetime.fromtimestamp(enqueued_ms / 1000 + seconds_later, UTC)
        return SimpleNamespace(message_id=origin, application_properties=properties, enqueued_time_utc=arrived)

    ends = found(results=[result(str(n), 1_000_000 + n, n / 10) for n in range(101)])

    facts = latency_facts({str(n) for n in range(101)}, ends)

    assert 4900 < facts["p50"] < 5100
    assert 9800 < facts["p99"] < 10000


def test_latency_without_an_answer_is_zero() -> None:
    assert latency_facts({"a"}, found()) == {"p50": 0.0, "p99": 0.0}


def test_one_answer_of_the_run_is_shown_in_full() -> None:
    answer = message("a/0", origin="a", body=[json.dumps({"reply": "Thanks!"}).encode()])

    assert sample_answer({"a"}, found(results=[answer])) == {"id": "a", "answer": {"reply": "Thanks!"}}
    assert sample_answer({"b"}, found(results=[answer])) is None


def test_log_lines_are_missing_or_doubled_by_what_names_them() -> None:
    shipped = Shipped(files=2, lines=Counter({("w", 1, 1): 1, ("w", 1, 2): 2, ("w", 2, 1): 1}))

    facts = log_facts({("w", 1, 1), ("w", 1, 2), ("w", 1, 3)}, shipped)

    assert facts == {"files_shipped": 2, "lines": 4, "missing": 1, "doubled": 1}


def test_quota_is_read_from_the_endpoint_s_own_account() -> None:
    numbers = {"tpm": 10, "rpm": 5, "judged_tokens": 7, "billed_tokens": 6, "peak_use": 0.7, "http_429": 0}
    stats = {"openai": {"deployments": {"gpt-4o": {**numbers, "judge": "exact", "requests": 1}}}}

    assert quota_facts(stats) == {**numbers, "judge": "exact"}
