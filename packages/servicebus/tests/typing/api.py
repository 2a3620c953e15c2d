"""The public types, as a type checker must see them; never run."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, assert_type

from pydantic import BaseModel

from penstock_servicebus import (
    AsyncServiceBusHandler,
    BreakerStatus,
    HandlerStatistics,
    MessageContext,
    Result,
    ServiceBusUnavailable,
    Session,
    Times,
    TraceContext,
    message_id,
    trace_id,
)


class Question(BaseModel):
    text: str


async def answer(question: Question) -> list[str | Result]:
    return [question.text, Result({"text": question.text}, properties={"n": 1, "at": datetime.now().astimezone()})]


async def answer_in_context(question: Question, context: MessageContext) -> None:
    assert_type(context.message_id, str)
    assert_type(context.attempt, int)
    assert_type(context.enqueued_at, datetime | None)
    assert_type(context.locked_until, datetime | None)
    assert_type(context.handling_time_left, float)
    assert_type(context.properties, Mapping[str, object])
    assert_type(context.session_id, str | None)
    assert_type(context.trace, TraceContext)
    assert_type(context.trace.properties(), dict[str, str])
    assert_type(context.times, Times)
    context.times.model_time += len(question.text)
    if context.session is not None:
        assert_type(context.session, Session)
        assert_type(await context.session.get_state(), bytes | None)
        await context.session.set_state("text")
    context.attempt = 2  # type: ignore[misc]  # what is known does not change


class Worker:
    async def process(self, message: bytes, context: MessageContext) -> bytes:
        return message if context.attempt > 1 else b""


def not_async(message: str) -> str:
    return message


async def takes_three(message: str, context: MessageContext, more: int) -> None: ...


async def every_kind_of_processor_fits() -> None:
    AsyncServiceBusHandler(answer, "in", "out")
    AsyncServiceBusHandler(answer_in_context, "topic", "out", in_subscription="sub", sessions=True)
    AsyncServiceBusHandler(Worker().process, "in", "out", "ns.servicebus.windows.net")
    AsyncServiceBusHandler(not_async, "in", "out")  # type: ignore[arg-type]
    AsyncServiceBusHandler(takes_three, "in", "out")  # type: ignore[arg-type]


async def running(handler: AsyncServiceBusHandler) -> None:
    assert_type(await handler.run(drain=1.0, until_empty=None, max_messages=5), HandlerStatistics)
    assert_type(handler.statistics().dead_lettered, dict[str, int])
    assert_type(handler.statistics().standstills, int)
    assert_type(handler.statistics().breaker, BreakerStatus)
    assert_type(handler.sleep_seconds, float)
    async with handler as entered:
        assert_type(entered, AsyncServiceBusHandler)
        assert_type(await entered.process_message(Any), Any)  # type: ignore[arg-type]
        await entered.send_message(Result("x"), message_id="m")


def facts(error: ServiceBusUnavailable) -> None:
    assert_type(error.permanent, bool)
    assert_type(error.environment, bool)
    assert_type(error.retry_after, float | None)
    assert_type(error.reason, str)


def made_by_hand() -> MessageContext:
    assert_type(message_id, ContextVar[str])
    assert_type(trace_id.get(), str)
    return MessageContext(message_id="m", origin_id="o", properties={"a": 1}, times=Times(quota_wait=1.0))
