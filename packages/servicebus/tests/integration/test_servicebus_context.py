"""What a processor may know and say beside the body, counted and read at the far end."""

import asyncio
import logging
import re
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage

from penstock_local_azure import ServiceBus
from penstock_servicebus import (
    AsyncServiceBusHandler,
    HandlerStatistics,
    MessageContext,
    Result,
    TraceContext,
    message_id,
    trace_id,
)

TRACE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01", "vendor=1")


async def run(bus: ServiceBus, processor: Any, messages: int = 1, **options: Any) -> HandlerStatistics:
    options = {"retry_delay": 0.05, "max_wait_time": 0.2} | options
    handler = AsyncServiceBusHandler(processor, "in", "out", connection_string=bus.connection_string, **options)
    return await handler.run(max_messages=messages)


async def test_the_context_tells_what_travelled_beside_the_body(bus: ServiceBus, far_end: Any) -> None:
    contexts: list[MessageContext] = []
    ahead: list[tuple[float, float]] = []

    async def look(_: str, context: MessageContext) -> None:
        contexts.append(context)
        assert context.locked_until is not None
        ahead.append((context.locked_until.timestamp() - time.time(), context.handling_time_left))

    properties: Any = {"text": "¿qué?", "number": 2**40, "flag": True, "id": UUID(int=7)}
    properties["number"] = {"TYPE": "LONG", "VALUE": 2**40}
    message = ServiceBusMessage(
        "x", message_id="x", correlation_id="c", subject="s", session_id="g", application_properties=properties
    )
    await far_end.send("in", message)

    await run(bus, look, max_handling_time=600.0)

    (context,) = contexts
    assert (context.message_id, context.origin_id, context.attempt, context.delivery_count) == ("x", "x", 1, 0)
    assert (context.correlation_id, context.subject, context.session_id) == ("c", "s", "g")
    assert context.properties == {"text": "¿qué?", "number": 2**40, "flag": True, "id": UUID(int=7)}
    assert context.session is None
    assert context.enqueued_at is not None
    assert abs(context.enqueued_at.timestamp() - time.time()) < 30
    ((lock, left),) = ahead
    assert 40 < lock <= 60
    assert 580 < left <= 600


async def test_the_attempt_is_counted_over_all_copies(bus: ServiceBus, far_end: Any) -> None:
    seen: list[tuple[str, str, int]] = []

    async def fail_twice(_: str, context: MessageContext) -> None:
        seen.append((context.message_id, context.origin_id, context.attempt))
        if context.attempt < 3:
            raise RuntimeError

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    await run(bus, fail_twice, messages=3)

    assert seen == [("x", "x", 1), ("x#r1", "x", 2), ("x#r2", "x", 3)]


async def test_results_may_carry_properties_and_ids_of_their_own(bus: ServiceBus, far_end: Any) -> None:
    moment = datetime(2026, 11, 26, tzinfo=UTC)

    async def describe(_: str) -> list[Any]:
        return [
            Result("plain"),
            Result({"a": 1}, properties={"kind": "b", "n": 2**40, "at": moment}, message_id="mine", subject="about"),
            "bare",
        ]

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    await run(bus, describe)

    results = {result.message_id: result for result in await far_end.read("out", 3)}
    assert set(results) == {"x/0", "mine", "x/2"}
    assert results["mine"].body == b'{"a": 1}'
    assert (results["mine"].properties["kind"], results["mine"].properties["n"]) == ("b", 2**40)
    assert results["mine"].properties["at"] == moment.timestamp() * 1000
    assert results["mine"].properties["penstock-origin-id"] == "x"


@pytest.mark.parametrize(
    "result",
    [
        Result("x", properties={"penstock-origin-id": "forged"}),
        Result("x", properties={"CANARY": ["CANARY"]}),  # type: ignore[dict-item]  # what a checker would refuse
        Result("x", properties={"CANARY": 2**64}),
        Result("x", message_id="m" * 129),
        Result("x", session_id=""),
        Result(Result("x")),
    ],
)
async def test_a_result_that_cannot_be_a_message_is_dead_lettered_and_explained(
    bus: ServiceBus, far_end: Any, result: Result
) -> None:
    async def describe(_: str) -> Result:
        return result

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    statistics = await run(bus, describe)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert dead.reason == "UnsendableResult"
    assert "CANARY" not in (dead.description or "")
    assert statistics.dead_lettered == {"UnsendableResult": 1}


@pytest.mark.parametrize("name", ["traceparent", "Diagnostic-Id"])
async def test_a_trace_goes_on_in_results_and_copies_under_both_names(bus: ServiceBus, far_end: Any, name: str) -> None:
    seen: list[TraceContext] = []

    async def fail_once(message: str, context: MessageContext) -> str:
        seen.append(context.trace)
        if context.attempt == 1:
            raise RuntimeError
        return message

    properties: Any = {name: TRACE.traceparent, "tracestate": "vendor=1"}
    await far_end.send("in", ServiceBusMessage("x", message_id="x", application_properties=properties))

    await run(bus, fail_once, messages=2)

    (result,) = await far_end.read("out", 1)
    assert seen == [TRACE, TRACE]
    assert {key: result.properties[key] for key in TRACE.properties()} == TRACE.properties()


async def test_without_a_valid_trace_one_is_begun_and_kept_over_all_attempts(bus: ServiceBus, far_end: Any) -> None:
    seen: list[str] = []

    async def fail_once(message: str, context: MessageContext) -> str:
        seen.append(context.trace.traceparent)
        if context.attempt == 1:
            raise RuntimeError
        return message

    broken: Any = {"traceparent": "00-not-a-trace"}
    await far_end.send("in", ServiceBusMessage("x", message_id="x", application_properties=broken))

    await run(bus, fail_once, messages=2)

    (result,) = await far_end.read("out", 1)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", seen[0])
    assert result.properties["traceparent"] == result.properties["Diagnostic-Id"] == seen[0] == seen[1]


async def test_a_result_may_name_a_span_of_its_own(bus: ServiceBus, far_end: Any) -> None:
    own = TraceContext("a" * 32, "b" * 16, "01")

    async def trace(message: str) -> Result:
        return Result(message, properties=own.properties())

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))

    await run(bus, trace)

    (result,) = await far_end.read("out", 1)
    assert result.properties["traceparent"] == own.traceparent


async def test_context_variables_tell_any_logger_which_message_is_worked_on(
    bus: ServiceBus, far_end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Stamp(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.stamp = (message_id.get(), trace_id.get())
            return True

    logger, ours = logging.getLogger("penstock_test_stamps"), logging.getLogger("penstock_servicebus")
    stamp = Stamp()
    for each in (logger, ours):
        each.addFilter(stamp)
        caplog.set_level(logging.INFO, logger=each.name)

    async def work(message: str) -> None:
        await asyncio.sleep(0)
        await asyncio.create_task(say(message))

    async def say(message: str) -> None:
        logger.info("%s", message)

    properties: Any = TRACE.properties()
    await far_end.send(
        "in", *(ServiceBusMessage(name, message_id=name, application_properties=properties) for name in "abc")
    )
    await run(bus, work, messages=3)
    for each in (logger, ours):
        each.removeFilter(stamp)

    stamps = {record.getMessage(): vars(record)["stamp"] for record in caplog.records if record.name == logger.name}
    assert stamps == {name: (name, TRACE.trace_id) for name in "abc"}
    assert {vars(record)["stamp"] for record in caplog.records if record.name == ours.name} == set(stamps.values())
    assert (message_id.get(), trace_id.get()) == ("", "")


async def test_the_line_about_a_message_tells_where_its_time_went(
    bus: ServiceBus, far_end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class AwayError(Exception):
        environment = True
        retry_after = 0.01

    calls = 0

    async def work(message: str, context: MessageContext) -> str:
        nonlocal calls
        calls += 1
        context.times.quota_wait += 1.5
        if calls == 1:
            raise AwayError
        context.times.model_time += 2.25
        return message

    caplog.set_level(logging.INFO, logger="penstock_servicebus")
    properties: Any = TRACE.properties()
    await far_end.send("in", ServiceBusMessage("x", message_id="x", application_properties=properties))

    await run(bus, work)

    (line,) = [record for record in caplog.records if record.name == "penstock_servicebus"]
    told = vars(line)
    assert (told["quota_wait_s"], told["model_time_s"], told["trace_id"]) == (3.0, 2.25, TRACE.trace_id)
    assert re.fullmatch(
        r"message x completed after \d+\.\d{3} s \(origin x, attempt 1, \d+\.\d{3} s in queue, "
        r"quota wait 3\.000 s, model time 2\.250 s\)",
        line.getMessage(),
    )


async def test_process_message_runs_the_processor_in_the_messages_context(bus: ServiceBus, far_end: Any) -> None:
    async def look(message: str, context: MessageContext) -> tuple[str, str, str]:
        return message, context.message_id, message_id.get()

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(look, "in", "out", connection_string=bus.connection_string)
    received = await far_end.take("in", 1)

    assert await handler.process_message(received[0]) == ("x", "x", "x")
    assert bus.stats()["out"]["enqueued"] == 0


async def test_send_message_takes_results_too(bus: ServiceBus, far_end: Any) -> None:
    async def ignore(_: str) -> None: ...

    async with AsyncServiceBusHandler(ignore, "in", "out", connection_string=bus.connection_string) as handler:
        await handler.send_message(Result("a", properties={"kind": "k"}, message_id="own"))
        await handler.send_message([Result("b", message_id="own-b"), Result("c")], message_id="stem")

    found = {result.message_id: result for result in await far_end.read("out", 3)}
    assert set(found) == {"own", "own-b", "stem/1"}
    assert found["own"].properties == {"kind": "k"}
