"""What a processor takes, read from its signature."""

import inspect
import typing
from collections.abc import Awaitable, Callable
from functools import partial
from types import CodeType, SimpleNamespace
from typing import Any

from penstock_servicebus._context import MessageContext
from penstock_servicebus._decoding import Decoder, decoder_for

ProcessorFunction = Callable[[Any], Awaitable[Any]] | Callable[[Any, MessageContext], Awaitable[Any]]
"""What users write: it takes a message, and its context if it wants to."""


class Processor:
    """The user's function: how its message is decoded, and how it is called.

    Args:
        function: An async function, method, partial, or object with `__call__`. The annotation of its first parameter
            says what it takes; a second one that has no default, or is annotated `MessageContext`, gets the context.

    Raises:
        TypeError: It is not async, or takes something else.
    """

    def __init__(self, function: ProcessorFunction) -> None:
        behind = _behind(function)
        parameters = _positional(function)
        self.name: str = getattr(behind, "__qualname__", type(behind).__name__)
        self.code: CodeType | None = getattr(behind, "__code__", None)
        self.decode: Decoder = decoder_for(_annotation(parameters[0], behind))
        self._function: Callable[..., Awaitable[Any]] = function
        self._wants_context = len(parameters) > 1 and _takes_context(parameters[1], behind)

    async def __call__(self, value: Any, context: MessageContext) -> Any:  # noqa: ANN401 - whatever the user chose
        """Run the function once."""
        return await (self._function(value, context) if self._wants_context else self._function(value))


def _positional(function: ProcessorFunction) -> list[inspect.Parameter]:
    """The parameters that a call by position reaches: the message, and perhaps a context."""
    parameters = list(inspect.signature(function).parameters.values())
    named = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    reached = named or [each for each in parameters if each.kind is each.VAR_POSITIONAL]
    if not reached:
        raise TypeError("processor_function must take the message as its first argument")
    for each in parameters:
        optional = each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if each not in reached[:2] and not optional:
            raise TypeError(f"processor_function must take a message and perhaps its context, not {each.name!r} too")
    return reached


def _takes_context(parameter: inspect.Parameter, behind: Callable[..., Any]) -> bool:
    """Whether the second parameter is for the context: one with a default of its own may be for anything."""
    annotation = _annotation(parameter, behind)
    if annotation is MessageContext or MessageContext in typing.get_args(annotation):
        return True
    if parameter.default is not parameter.empty:
        return False
    if annotation in (parameter.empty, Any):
        return True
    raise TypeError(
        f"processor_function's second parameter {parameter.name!r} must be a MessageContext, "
        f"not {getattr(annotation, '__name__', annotation)}"
    )


def _annotation(parameter: inspect.Parameter, behind: Callable[..., Any]) -> Any:  # noqa: ANN401 - any object
    """The resolved annotation of a parameter."""
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, globalns=getattr(behind, "__globals__", {}))["it"]
    except NameError as error:
        raise TypeError(
            f"processor_function's annotation {annotation!r} cannot be resolved; import it at module level",
        ) from error


def _behind(function: ProcessorFunction) -> Any:  # noqa: ANN401 - a function, of whatever kind
    """The async function behind a function, method, partial, or object with `__call__`."""
    behind: Any = inspect.unwrap(function)
    while isinstance(behind, partial):
        behind = inspect.unwrap(behind.func)
    if not inspect.isroutine(behind) and not inspect.iscoroutinefunction(behind):
        behind = inspect.unwrap(type(behind).__call__)
    if not inspect.iscoroutinefunction(behind):
        raise TypeError("processor_function must be defined with async def")
    return inspect.unwrap(getattr(behind, "__func__", behind))
