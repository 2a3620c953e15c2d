from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_token_client.protocol import (
    EndAnswer,
    LockAnswer,
    LockRequest,
    ProtocolError,
    RateLimit,
    ReleaseRequest,
    ReportRequest,
    grant_id,
    pool_path,
    request_ids,
    wire_id,
)

NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
COUNTS = st.integers(0, 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def travelled(message: dict[str, Any]) -> Any:
    return json.loads(json.dumps(message))


@given(
    app_id=NAMES,
    token_count=COUNTS,
    requests=st.integers(1, 100),
    wait_seconds=st.floats(0, 60),
    idempotency_key=st.none() | NAMES,
    ticket=st.none() | NAMES,
)
def test_a_lock_arrives_as_it_was_sent(**fields: Any) -> None:
    message = LockRequest(max_tokens=fields["token_count"] // 2, **fields)

    assert LockRequest.parse(travelled(message.to_json())) == message


@given(request_id=NAMES, prompt_tokens=COUNTS, completion_tokens=COUNTS)
def test_a_report_arrives_as_it_was_sent(**fields: Any) -> None:
    message = ReportRequest(app_id="a", status="429", ratelimit=RateLimit(limit_tokens=5), **fields)

    assert ReportRequest.parse(travelled(message.to_json())) == message


@pytest.mark.parametrize(
    "message",
    [ReleaseRequest(app_id="a", request_id="b:c"), ReleaseRequest(app_id="a", idempotency_key="k")],
)
def test_a_release_arrives_as_it_was_sent(message: ReleaseRequest) -> None:
    assert ReleaseRequest.parse(travelled(message.to_json())) == message


def test_an_answer_arrives_as_it_was_sent() -> None:
    granted = LockAnswer(allowed=True, request_id="a:b", expires_at=17.5, suggested_max_tokens=400, deployment="d")
    denied = LockAnswer(allowed=False, code="limited", message="no", retry_after=1.5, ticket="t")

    assert LockAnswer.read(travelled(granted.to_json())) == granted
    assert LockAnswer.read(travelled(denied.to_json())) == denied
    assert EndAnswer.read(travelled(EndAnswer(success=True, known=False).to_json())) == EndAnswer(
        success=True, known=False
    )


@settings(suppress_health_check=[HealthCheck.too_slow])  # arbitrary JSON takes long to draw on a busy machine
@given(st.dictionaries(st.sampled_from(["allowed", "request_id", "retry_after_ms", "expires_at", "ticket"]), JSON))
def test_any_answer_can_be_read(data: dict[str, Any]) -> None:
    assert LockAnswer.read(data).allowed == (data.get("allowed") is True)


def refusal(message: type[LockRequest | ReportRequest | ReleaseRequest], data: object) -> ProtocolError | None:
    try:
        message.parse(data)
    except ProtocolError as error:
        return error
    return None


@given(
    message=st.sampled_from([LockRequest, ReportRequest, ReleaseRequest]),
    data=JSON
    | st.dictionaries(
        st.sampled_from(["v", "app_id", "token_count", "request_id", "prompt_tokens", "wait_seconds", "status"]), JSON
    ),
)
def test_anything_else_is_refused_by_its_field(message: Any, data: Any) -> None:
    error = refusal(message, data)

    assert error is None or error.field in str(error)


def test_unknown_fields_are_ignored_and_unknown_versions_are_not() -> None:
    message = {"app_id": "a", "token_count": 1, "from_the_future": {}}

    assert LockRequest.parse(message).token_count == 1
    with pytest.raises(ProtocolError, match="v must be 1"):
        LockRequest.parse({**message, "v": 2})


def test_null_says_as_much_as_a_field_that_is_absent() -> None:
    lock = {"app_id": "a", "token_count": 1}
    report = {"app_id": "a", "request_id": "b:c", "prompt_tokens": 1, "completion_tokens": 1}
    empty = dict.fromkeys(["max_tokens", "requests", "wait_seconds", "idempotency_key", "ticket"])

    assert LockRequest.parse({**lock, **empty}) == LockRequest.parse(lock)
    assert ReportRequest.parse({**report, "status": None, "ratelimit": None}) == ReportRequest.parse(report)


@pytest.mark.parametrize(("field", "value"), [("v", True), ("ratelimit", []), ("ratelimit", 0), ("status", "")])
def test_what_only_resembles_the_right_value_is_refused(field: str, value: object) -> None:
    report = {"app_id": "a", "request_id": "b:c", "prompt_tokens": 1, "completion_tokens": 1}

    with pytest.raises(ProtocolError, match=field):
        ReportRequest.parse({**report, field: value})


def test_a_long_wait_is_cut_to_the_longest_poll() -> None:
    assert LockRequest.parse({"app_id": "a", "token_count": 1, "wait_seconds": 3600}).wait_seconds == 60


def test_ids_travel_compound() -> None:
    assert grant_id(wire_id("0a-7")) == "0a-7"
    assert grant_id("token_0a-7:rate_0a-8") is None
    assert request_ids("token_1:rate_2:x") == {"request_id": "token_1:rate_2:x", "rate_request_id": "rate_2:x"}
    assert request_ids("plain") == {"request_id": "plain"}


def test_the_default_pool_has_no_path_of_its_own() -> None:
    assert pool_path("completion") == ""
    assert pool_path("gpt-4o") == "/pools/gpt-4o"
    with pytest.raises(ValueError, match="pool"):
        pool_path("../x")
