"""What happens to messages that are not handled well, decided by the facts the error carries."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from pydantic import BaseModel, ConfigDict

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler

CANARY = "CANARY-5e1f"


class QuotaAwayError(Exception):
    environment = True
    retry_after = 0.02


class RefusedError(Exception):
    permanent = True
    request_id = "req-7"


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    age: int


async def test_a_failed_attempt_is_retried_as_a_delayed_copy_past_duplicate_detection(
    bus: ServiceBus, far_end: Any
) -> None:
    attempts: list[str] = []

    async def fail_twice(message: str) -> str:
        attempts.append(message)
        if len(attempts) < 3:
            raise RuntimeError(CANARY)
        return message

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        fail_twice, "in", "out", connection_string=bus.connection_string, retry_delay=0.1, max_wait_time=0.2
    )

    statistics = await handler.run(max_messages=3)

    (result,) = await far_end.read("out", 1)
    assert attempts == ["x", "x", "x"]
    assert result.message_id == "x/0"
    assert result.properties["penstock-origin-id"] == "x"
    assert result.properties["penstock-attempt"] == 2
    assert (statistics.retried, statistics.completed) == (2, 1)
    assert bus.stats()["in"]["suppressed"] == bus.stats()["out"]["suppressed"] == []


async def test_a_copy_carries_what_the_original_carried(bus: ServiceBus, far_end: Any) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError

    moment = datetime(
        2026, 11, 22, tzinfo=UTC
    )  # arrives as a number of milliseconds, which the SDK cannot write itself
    properties: dict[Any, Any] = {"moment": moment, "tag": "t", "n": 1}
    await far_end.send("in", ServiceBusMessage("body", message_id="x", application_properties=properties))
    handler = AsyncServiceBusHandler(fail, "in", "out", connection_string=bus.connection_string, retry_delay=0.05)

    await handler.run(max_messages=1)

    (copy,) = await far_end.read("in", 1)
    assert copy.message_id == "x#r1"
    assert copy.body == b"body"
    assert copy.properties["moment"] == moment.timestamp() * 1000
    assert (copy.properties["tag"], copy.properties["n"]) == ("t", 1)
    assert copy.properties["penstock-origin-id"] == "x"
    assert copy.properties["penstock-attempt"] == 1


async def test_after_its_retries_a_message_is_dead_lettered(bus: ServiceBus, far_end: Any) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError(CANARY)

    await far_end.send("in", ServiceBusMessage(CANARY, message_id="x"))
    handler = AsyncServiceBusHandler(
        fail, "in", "out", max_retries=2, retry_delay=0.05, connection_string=bus.connection_string, max_wait_time=0.2
    )

    statistics = await handler.run(max_messages=3)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert dead.message_id == "x#r2"
    assert dead.properties["penstock-origin-id"] == "x"
    assert dead.reason == "RetriesExhausted"
    assert dead.description is not None
    assert "RuntimeError" in dead.description
    assert CANARY not in dead.description
    assert statistics.dead_lettered == {"RetriesExhausted": 1}


async def test_a_permanent_error_is_dead_lettered_at_once_with_its_name_and_ids(bus: ServiceBus, far_end: Any) -> None:
    async def refuse(_: str) -> None:
        raise RefusedError(CANARY)

    await far_end.send("in", ServiceBusMessage(CANARY, message_id="x"))
    handler = AsyncServiceBusHandler(refuse, "in", "out", connection_string=bus.connection_string)

    await handler.run(max_messages=1)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert dead.message_id == "x"
    assert dead.reason == "RefusedError"
    assert dead.description == "permanent: RefusedError (request_id=req-7) at attempt 1"


@pytest.mark.parametrize(
    ("body", "description"),
    [
        (b"\xff\xfe" + CANARY.encode(), "body is not a valid Form: ValidationError: body (json_invalid)"),
        (f'{{"name": "{CANARY}"}}'.encode(), "body is not a valid Form: ValidationError: age (missing)"),
        (
            f'{{"name": 1, "age": "{CANARY}", "{CANARY}": 1}}'.encode(),
            "body is not a valid Form: ValidationError: name (string_type), age (int_parsing), * (extra_forbidden)",
        ),
    ],
)
async def test_an_undecodable_body_is_dead_lettered_by_types_and_places(
    bus: ServiceBus, far_end: Any, body: bytes, description: str
) -> None:
    async def accept(_: Form) -> None:
        raise AssertionError

    await far_end.send("in", ServiceBusMessage(body, message_id="x"))
    handler = AsyncServiceBusHandler(accept, "in", "out", connection_string=bus.connection_string)

    await handler.run(max_messages=1)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert dead.reason == "UndecodableMessage"
    assert dead.description == description


async def test_a_result_that_is_too_large_is_dead_lettered_and_the_others_go_on(bus: ServiceBus, far_end: Any) -> None:
    async def grow(message: str) -> str:
        return "x" * (3_000_000 if message == "big" else 10)

    await far_end.send("in", *(ServiceBusMessage(body, message_id=body) for body in ("big", "small", "tiny")))
    handler = AsyncServiceBusHandler(grow, "in", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=3)

    (dead,) = await far_end.read("in", 1, dead=True)
    assert (dead.message_id, dead.reason) == ("big", "UnsendableResult")
    assert {result.message_id for result in await far_end.read("out", 2)} == {"small/0", "tiny/0"}
    assert statistics.completed == 2


async def test_an_unavailable_environment_costs_no_attempt_and_no_delivery(bus: ServiceBus, far_end: Any) -> None:
    failures = 0

    async def wait_for_quota(message: str) -> str:
        nonlocal failures
        if failures < 12:
            failures += 1
            raise QuotaAwayError
        return message

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        wait_for_quota, "in", "out", connection_string=bus.connection_string, max_retries=1, retry_delay=0.02
    )

    statistics = await handler.run(max_messages=1)

    (result,) = await far_end.read("out", 1)
    assert result.properties["penstock-attempt"] == 0
    assert statistics.environment_failures == 12
    assert statistics.received == statistics.completed == 1
    assert not statistics.breaker.open


async def test_an_open_breaker_pauses_the_intake_says_why_and_ends_with_a_probe(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    available, all_taken = asyncio.Event(), asyncio.Event()
    calls: list[str] = []

    async def ask(message: str) -> str:
        calls.append(message)
        if len(calls) == 6:
            all_taken.set()
        await all_taken.wait()  # or the first few would open the breaker before the others have come
        if not available.is_set():
            raise QuotaAwayError
        return message

    await far_end.send("in", *(ServiceBusMessage(str(index), message_id=str(index)) for index in range(30)))
    handler = AsyncServiceBusHandler(
        ask, "in", "out", connection_string=bus.connection_string, max_concurrency=6, retry_delay=0.2
    )
    async with handler:
        await eventually(lambda: handler.statistics().breaker.open)
        await eventually(lambda: handler.statistics().breaker.failures >= 8)
        paused = handler.statistics()
        waiting_in_queue = bus.stats()["in"]["active"]
        available.set()
        await eventually(lambda: handler.total_processed_messages == 30)
        after = handler.statistics()

    assert paused.breaker.why == "QuotaAwayError"
    assert paused.in_progress == 6
    assert waiting_in_queue == 24
    assert after.breaker.open is False
    assert len(calls) < 30 + 6 + 10  # every message once, the first six, and a few probes
    assert {result.message_id for result in await far_end.read("out", 30)} == {f"{index}/0" for index in range(30)}


async def test_at_max_handling_time_a_message_that_only_waits_goes_back_uncounted(
    bus: ServiceBus, far_end: Any
) -> None:
    async def never(_: str) -> None:
        raise QuotaAwayError

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        never, "in", "out", connection_string=bus.connection_string, max_handling_time=0.3, retry_delay=0.1
    )

    statistics = await handler.run(max_messages=1)

    (back,) = await far_end.read("in", 1)
    assert (back.message_id, back.delivery_count) == ("x", 0)
    assert statistics.released == 1


async def test_at_max_handling_time_a_processor_at_work_is_cancelled_and_retried(bus: ServiceBus, far_end: Any) -> None:
    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    await far_end.send("in", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(
        hang, "in", "out", connection_string=bus.connection_string, max_handling_time=0.3, retry_delay=0.1
    )

    statistics = await handler.run(max_messages=1)

    (copy,) = await far_end.read("in", 1)
    assert copy.message_id == "x#r1"
    assert statistics.retried == 1


async def test_logs_tell_ids_numbers_and_types_but_no_content(
    bus: ServiceBus, far_end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: str) -> None:
        raise ValueError(CANARY)

    caplog.set_level(logging.DEBUG)
    logging.getLogger("azure").setLevel(logging.INFO)
    await far_end.send("in", ServiceBusMessage(CANARY, message_id="x"))
    handler = AsyncServiceBusHandler(fail, "in", "out", connection_string=bus.connection_string, max_retries=0)

    await handler.run(max_messages=1)

    lines = [record for record in caplog.records if record.name == "penstock_servicebus"]
    (line,) = lines
    assert line.levelno == logging.INFO
    fields = vars(line)
    assert {key: fields[key] for key in ("message_id", "origin_id", "attempt", "outcome", "reason", "error")} == {
        "message_id": "x",
        "origin_id": "x",
        "attempt": 1,
        "outcome": "dead-lettered",
        "reason": "RetriesExhausted",
        "error": "ValueError",
    }
    assert fields["queue_age_s"] >= 0
    assert fields["handling_s"] >= 0
    assert CANARY not in caplog.text
