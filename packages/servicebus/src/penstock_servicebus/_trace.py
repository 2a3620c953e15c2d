"""The trace a message belongs to, as W3C Trace Context writes it (www.w3.org/TR/trace-context, version 00).

A message's trace is handed on as it came: this package records no spans of its own, so it puts none in between.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
DIAGNOSTIC_ID = "Diagnostic-Id"
"""The older name, which Azure's SDKs write and read beside `traceparent`."""

TRACE_PROPERTIES = frozenset({TRACEPARENT, TRACESTATE, DIAGNOSTIC_ID})

_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(-.*)?"
)
_LONGEST_STATE = 512  # characters that every participant should be able to hand on ("tracestate limits")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Which trace a message belongs to, and which span of it sent the message.

    Attributes:
        trace_id: 32 hexadecimal digits, the same all along the trace.
        span_id: 16 hexadecimal digits: the span the message was sent in.
        flags: Two hexadecimal digits; `01` says that the trace is recorded.
        state: What tracing systems add for themselves, handed on unread.
    """

    trace_id: str
    span_id: str
    flags: str = "00"
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def properties(self) -> dict[str, str]:
        """The application properties that carry it."""
        carried = {TRACEPARENT: self.traceparent, DIAGNOSTIC_ID: self.traceparent}
        return carried | {TRACESTATE: self.state} if self.state else carried


def begin_trace(random: Callable[[], float]) -> TraceContext:
    """A new trace that nobody records: the flag for that is 0 "when the trace is initiated by this component"."""
    return TraceContext(_hex(random, 4), _hex(random, 2))


def read_trace(properties: Mapping[str, object]) -> TraceContext | None:
    """The trace in a message's properties; None if there is none, or none that is valid."""
    for name in (TRACEPARENT, DIAGNOSTIC_ID):
        found = _parse(properties.get(name))
        if found is not None:
            state = properties.get(TRACESTATE)
            kept = state if isinstance(state, str) and len(state) <= _LONGEST_STATE else ""
            return TraceContext(found["trace"], found["span"], found["flags"], kept)
    return None


def _parse(value: object) -> re.Match[str] | None:
    """A valid traceparent's parts; of a later version the parts that this one knows."""
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found[5] is not None):
        return None
    return found if int(found["trace"], 16) and int(found["span"], 16) else None


def _hex(random: Callable[[], float], words: int) -> str:
    """Random ids of so many 32-bit words; never all zeros, which is no valid id."""
    return "".join(f"{int(random() * 0xFFFFFFFF) + 1:08x}" for _ in range(words))
