"""Reading, beginning and handing on a W3C trace context (www.w3.org/TR/trace-context)."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_servicebus import TraceContext
from penstock_servicebus._trace import begin_trace, read_trace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TraceContext(TRACE, SPAN, "01")),
        ({"Diagnostic-Id": f"00-{TRACE}-{SPAN}-00"}, TraceContext(TRACE, SPAN, "00")),
        ({"traceparent": "rubbish", "Diagnostic-Id": f"00-{TRACE}-{SPAN}-01"}, TraceContext(TRACE, SPAN, "01")),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"}, TraceContext(TRACE, SPAN, "01", "a=b")),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a" * 513}, TraceContext(TRACE, SPAN, "01")),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01-what-may-come"}, TraceContext(TRACE, SPAN, "01")),
    ],
)
def test_a_valid_one_is_read(properties: dict[str, object], expected: TraceContext) -> None:
    assert read_trace(properties) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        7,
        b"\xff",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01.more",
    ],
)
def test_an_invalid_one_is_none(value: object) -> None:
    assert read_trace({"traceparent": value}) is None


@given(st.integers())
def test_a_new_one_is_valid_whatever_chance_says(seed: int) -> None:
    trace = begin_trace(random.Random(seed).random)

    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace.traceparent)
    assert read_trace(dict(trace.properties())) == trace


@pytest.mark.parametrize("chance", [0.0, 1.0 - 2**-53])
def test_its_ids_are_never_zero_and_never_too_long(chance: float) -> None:
    trace = begin_trace(lambda: chance)

    assert (len(trace.trace_id), len(trace.span_id)) == (32, 16)
    assert int(trace.trace_id, 16) * int(trace.span_id, 16) > 0


def test_it_travels_under_both_names() -> None:
    trace = TraceContext(TRACE, SPAN, "01", "a=b")

    assert trace.properties() == {
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "Diagnostic-Id": f"00-{TRACE}-{SPAN}-01",
        "tracestate": "a=b",
    }
