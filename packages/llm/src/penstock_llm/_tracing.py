"""Spans by OpenTelemetry's conventions for generative AI, if its API is installed: facts, never content.

A request is a span of its own, and so is the wait for quota before it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ._engine import Answer
from ._errors import CompletionError

try:
    from opentelemetry import trace
except ModuleNotFoundError:
    _tracer = None
else:
    _tracer = trace.get_tracer("penstock_llm")

PROVIDER: Final = "azure.ai.openai"


class Span(Protocol):
    """What is told about something that takes time."""

    def tell(self, attributes: Mapping[str, Any]) -> None:
        """Tell facts."""

    def fail(self, kind: str) -> None:
        """Tell that it failed, and by which kind of error."""


class _NoSpan:
    """Stands in where nobody listens."""

    def tell(self, attributes: Mapping[str, Any]) -> None:
        """Tell nobody."""

    def fail(self, kind: str) -> None:
        """Tell nobody."""


class _RealSpan:
    """Tells OpenTelemetry."""

    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    def tell(self, attributes: Mapping[str, Any]) -> None:
        """Tell facts."""
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        """Tell that it failed; a text of an error is not for us to pass on."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR)


@contextmanager
def request_span(operation: str, deployment: str, max_tokens: int) -> Iterator[Span]:
    """Trace one request to a model."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": deployment,
    }
    if max_tokens:
        attributes["gen_ai.request.max_tokens"] = max_tokens
    with _span(f"{operation} {deployment}", attributes, client=True) as span:
        yield span


@contextmanager
def quota_span(deployment: str, tokens: int) -> Iterator[Span]:
    """Trace one wait for quota."""
    with _span(f"quota {deployment}", {"penstock.quota.tokens": tokens}, client=False) as span:
        yield span


@contextmanager
def _span(name: str, attributes: Mapping[str, Any], *, client: bool) -> Iterator[Span]:
    """Open a span; an exception leaves its type, since its text is not for us to pass on."""
    if _tracer is None:
        yield _NoSpan()
        return
    kind = trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL
    with _tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as opened:
        span = _RealSpan(opened)
        try:
            yield span
        except BaseException as error:
            span.fail(type(error).__name__)
            raise


def tell_answer(span: Span, result: Answer | CompletionError) -> None:
    """Tell what came of a request."""
    if isinstance(result, CompletionError):
        span.fail(str(result.status or type(result).__name__))
        return
    span.tell({"gen_ai.response.finish_reasons": [result.finish_reason]})
    if result.usage is not None:
        span.tell(
            {
                "gen_ai.usage.input_tokens": result.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": result.usage.completion_tokens,
            }
        )
