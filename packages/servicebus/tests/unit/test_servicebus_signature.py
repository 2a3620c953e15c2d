"""Who gets a context: decided by the second parameter, at construction."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest

from penstock_servicebus import MessageContext
from penstock_servicebus._signature import Processor

CONTEXT = MessageContext(message_id="m", origin_id="m")


async def alone(message: str) -> Any:
    return message


async def annotated(message: str, context: MessageContext) -> Any:
    return message, context


async def annotated_in_quotes(message: str, context: "MessageContext") -> Any:
    return message, context


async def annotated_with_a_default(message: str, context: MessageContext | None = None) -> Any:
    return message, context


async def not_annotated(message, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - what it is about
    return message, context


async def of_its_own(message: str, retries: int = 3, *more: str, verbose: bool = False) -> Any:
    return message, retries, more, verbose


async def whatever_comes(*arguments: str) -> Any:
    return arguments


class Worker:
    async def process(self, message: str, context: MessageContext) -> Any:
        return message, context


async def with_an_option(option: str, message: str, context: MessageContext) -> Any:
    return option, message, context


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (alone, "x"),
        (annotated, ("x", CONTEXT)),
        (annotated_in_quotes, ("x", CONTEXT)),
        (annotated_with_a_default, ("x", CONTEXT)),
        (not_annotated, ("x", CONTEXT)),
        (of_its_own, ("x", 3, (), False)),
        (whatever_comes, ("x",)),
        (AsyncMock(return_value="mocked"), "mocked"),
        (Worker().process, ("x", CONTEXT)),
        (partial(with_an_option, "o"), ("o", "x", CONTEXT)),
    ],
)
async def test_the_second_parameter_decides(function: Callable[..., Any], expected: Any) -> None:
    assert await Processor(function)("x", CONTEXT) == expected


async def takes_something_else(message: str, count: int) -> None: ...
async def takes_too_much(message: str, context: MessageContext, count: int) -> None: ...
async def takes_it_by_name(message: str, *, context: MessageContext) -> None: ...
async def takes_only_names(*, message: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (takes_something_else, "second parameter 'count' must be a MessageContext, not int"),
        (takes_too_much, "not 'count' too"),
        (takes_it_by_name, "not 'context' too"),
        (takes_only_names, "must take the message as its first argument"),
    ],
)
def test_what_nobody_could_call_is_refused_by_name(function: Callable[..., Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Processor(function)


def test_a_context_made_by_hand_has_no_lock_and_no_limit() -> None:
    assert CONTEXT.locked_until is None
    assert CONTEXT.handling_time_left == float("inf")
    assert (CONTEXT.attempt, CONTEXT.delivery_count, dict(CONTEXT.properties)) == (1, 0, {})


def test_its_repr_shows_no_content() -> None:
    context = MessageContext(message_id="m", origin_id="o", properties={"key": "CANARY"})

    assert "CANARY" not in repr(context)
