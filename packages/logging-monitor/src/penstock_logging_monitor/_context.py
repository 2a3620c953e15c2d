"""What every record of a task says about the work it belongs to."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from penstock_logging_monitor._fields import ABSENT, BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OPENTELEMETRY = "opentelemetry.trace"

_bound: ContextVar[Mapping[str, object]] = ContextVar("_bound", default={})  # noqa: B039  # never changed in place


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to every record that is logged within the block, by this task or thread and by tasks it starts.

    An inner block adds to an outer one. What a call passes as ``extra`` wins.

    Args:
        fields: Names and values, as in ``extra``.

    Raises:
        ValueError: A name is that of an attribute that every record has, such as ``name`` or ``message``.
    """
    if taken := BUILT_IN & fields.keys():
        raise ValueError(f"every log record has an attribute {min(taken)!r} of its own: choose another name")
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class ContextFilter(logging.Filter):
    """Gives each record the context it is logged in, as attributes that any formatter can use.

    These are ``trace_id`` and ``span_id`` of OpenTelemetry's current span, the fields of `log_context`, and the
    variables named. ``extra`` comes first, then the span, then the others. A variable without a value is empty text in
    a format string such as ``%(trace_id)s``, and left out by the formatters of this package.

    The handlers that `configure_logging` makes have such a filter; for others there is ``addFilter``.

    Args:
        variables: Context variables; each gives its name to an attribute. None and empty text are no values.
    """

    def __init__(self, *variables: ContextVar[Any]) -> None:
        super().__init__()
        self._variables = [(variable.name, variable) for variable in variables]
        if taken := BUILT_IN & {variable.name for variable in variables}:
            raise ValueError(f"every log record has an attribute {min(taken)!r} of its own: rename the variable")

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the context; let every record through."""
        bound = _bound.get()
        if bound or self._variables or _OPENTELEMETRY in sys.modules:
            self._add(record.__dict__, bound)
        return True

    def _add(self, attributes: dict[str, Any], bound: Mapping[str, object]) -> None:
        if _OPENTELEMETRY in sys.modules and "trace_id" not in attributes:
            attributes.update(_span())
        attributes.update({name: value for name, value in bound.items() if name not in attributes})
        for name, variable in self._variables:
            if name not in attributes:
                attributes[name] = _value_of(variable)


def _span() -> dict[str, str]:
    """Return the ids of the current span, if there is one: somebody must have imported the API to start it."""
    current_span = getattr(sys.modules[_OPENTELEMETRY], "get_current_span", None)  # None: it is just being imported
    span = current_span().get_span_context() if current_span else None
    if span is None or not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def _value_of(variable: ContextVar[Any]) -> object:
    try:
        value = variable.get()
    except LookupError:
        return ABSENT
    return ABSENT if value is None or value == "" else value
