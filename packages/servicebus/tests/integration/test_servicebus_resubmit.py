"""`penstock-servicebus resubmit`: dead letters go back to work, and none is lost or doubled on the way."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage

from penstock_local_azure import Queue, ServiceBus, Topic
from penstock_servicebus import AsyncServiceBusHandler


def messages(*ids: str) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(f"body of {one}", message_id=one) for one in ids]


async def ids_in(far_end: Any, queue: str, count: int, *, dead: bool = False) -> list[str]:
    return [found.message_id for found in await far_end.read(queue, count, dead=dead)]


async def start(bus: ServiceBus, *arguments: str) -> Process:
    """Start the command as a process."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_servicebus", "resubmit", *arguments),
        env={"SERVICE_BUS_CONNECTION_STRING": bus.connection_string},
        stdout=PIPE,
        stderr=PIPE,
    )


async def test_content_and_the_senders_properties_travel_and_the_marks_of_a_dead_letter_do_not(
    bus: ServiceBus, far_end: Any, command: Any
) -> None:
    when = datetime(2026, 11, 22, 12, tzinfo=UTC)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent: dict[Any, Any] = {"tenant": "a", "n": 3, "ok": True, "when": when, "traceparent": trace}
    message = ServiceBusMessage(
        b'{"n": 1}',
        message_id="order-7",
        content_type="application/json",
        subject="order",
        correlation_id="c-1",
        session_id="s-1",
        reply_to="replies",
        time_to_live=timedelta(hours=1),
        application_properties=sent,
    )
    await far_end.set_aside("in", message, reason="Why", description="because")

    done = await command("resubmit", "in", "--all", "--json")

    assert done.status == 0
    (line,) = done.objects
    assert (line["v"], line["id"], line["new_id"], line["outcome"]) == (1, "order-7", "order-7#r1", "moved")
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("in") as receiver,
    ):
        (copy,) = await receiver.receive_messages(1, max_wait_time=5)
    assert b"".join(copy.body) == b'{"n": 1}'
    assert (copy.content_type, copy.subject, copy.correlation_id) == ("application/json", "order", "c-1")
    assert (copy.message_id, copy.session_id, copy.reply_to) == ("order-7#r1", "s-1", "replies")
    assert copy.time_to_live is None
    received: Any = copy.application_properties
    properties = {key.decode(): value for key, value in received.items()}
    enqueued = properties.pop("penstock-enqueued")
    assert abs(enqueued / 1000 - datetime.now(UTC).timestamp()) < 60
    assert properties == {
        "tenant": b"a",
        "n": 3,
        "ok": True,
        "when": when.timestamp() * 1000,
        "traceparent": trace.encode(),
        "penstock-origin-id": b"order-7",
        "penstock-attempt": 1,
        "penstock-resubmitted": 1,
    }


async def test_what_is_resubmitted_has_all_its_attempts_again_and_no_id_twice(
    bus: ServiceBus, far_end: Any, command: Any
) -> None:
    attempts = Counter[str]()

    async def fail(message: str) -> None:
        attempts[message] += 1
        raise ValueError

    async def work_until_set_aside() -> None:
        handler = AsyncServiceBusHandler(
            fail, "in", "out", connection_string=bus.connection_string, max_retries=2, retry_delay=0.01
        )
        await handler.run(until_empty=0.5)

    await far_end.send("in", *messages("m"))
    await work_until_set_aside()
    for _ in range(2):
        assert (await command("resubmit", "in", "--id", "m")).status == 0
        await work_until_set_aside()

    assert attempts == {"body of m": 9}
    assert bus.stats()["in"]["suppressed"] == []
    (dead,) = await far_end.read("in", 1, dead=True)
    assert (dead.message_id, dead.properties["penstock-attempt"], dead.reason) == ("m#r8", 8, "RetriesExhausted")


@pytest.mark.parametrize(
    ("arguments", "moved"),
    [
        (("--all",), {"a", "b#r2", "c", "d"}),
        (("--id", "c"), {"c"}),
        (("--id", "a", "b"), {"a", "b#r2"}),
        (("--id", "b#r2", "--id", "d"), {"b#r2", "d"}),
        (("--reason", "Other"), {"c", "d"}),
        (("--all", "--max", "2"), {"a", "b#r2"}),
        (("--reason", "Other", "--max", "1"), {"c"}),
        (("--reason", "None such"), set()),
    ],
)
async def test_only_what_is_asked_for_is_moved_and_the_rest_can_be_received_at_once(
    far_end: Any, command: Any, arguments: tuple[str, ...], moved: set[str]
) -> None:
    copy = ServiceBusMessage(
        "x", message_id="b#r2", application_properties={"penstock-origin-id": "b", "penstock-attempt": 2}
    )
    await far_end.set_aside("in", *messages("a"), copy, reason="One")
    await far_end.set_aside("in", *messages("c", "d"), reason="Other")

    done = await command("resubmit", "in", *arguments, "--to", "out", "--json")

    assert done.status == 0
    assert {line["id"] for line in done.objects if line["outcome"] == "moved"} == moved
    new_ids = {"a": "a#r1", "b#r2": "b#r3", "c": "c#r1", "d": "d#r1"}
    assert set(await ids_in(far_end, "out", len(moved))) == {new_ids[one] for one in moved}
    left = await far_end.read("in", 4 - len(moved), dead=True)
    assert {(one.message_id, one.delivery_count) for one in left} == {(one, 0) for one in new_ids.keys() - moved}


async def test_a_dry_run_tells_and_moves_nothing(bus: ServiceBus, far_end: Any, command: Any) -> None:
    await far_end.set_aside("in", *messages("a", "b"), reason="Why")

    as_text = await command("resubmit", "in", "--all", "--dry-run")
    as_json = await command("resubmit", "in", "--all", "--dry-run", "--json")

    assert as_text.lines == ["a would be moved as a#r1", "b would be moved as b#r1"]
    assert [line["outcome"] for line in as_json.objects] == ["planned", "planned"]
    assert bus.stats()["in"]["active"] == 0
    assert set(await ids_in(far_end, "in", 2, dead=True)) == {"a", "b"}


async def test_a_copy_sent_by_a_run_that_died_is_not_doubled_by_the_next(
    bus: ServiceBus, far_end: Any, command: Any
) -> None:
    await far_end.set_aside("in", *messages("a"), reason="Why")
    await far_end.send("in", ServiceBusMessage("body of a", message_id="a#r1"))  # and it died before completing

    done = await command("resubmit", "in", "--all")

    assert (done.status, done.lines) == (0, ["a moved as a#r1"])
    assert bus.stats()["in"]["suppressed"] == ["a#r1"]
    assert await ids_in(far_end, "in", 1) == ["a#r1"]
    assert await far_end.read("in", 0, dead=True) == []


async def test_runs_killed_at_any_moment_lose_and_double_nothing(bus: ServiceBus, far_end: Any) -> None:
    sent = {f"m-{index}" for index in range(200)}
    await far_end.set_aside("short", *messages(*sorted(sent)), reason="Why")

    for killed_after in (1, 7, 30, 50):
        process = await start(bus, "short", "--all", "--json")
        assert process.stdout is not None
        for _ in range(killed_after):
            await process.stdout.readline()
        process.kill()
        await process.wait()
    async with asyncio.timeout(240):
        while await (last := await start(bus, "short", "--all", "--json")).wait():  # until the locks of the dead expire
            await last.communicate()

    found = await ids_in(far_end, "short", len(sent))
    assert Counter(found) == Counter(f"{one}#r1" for one in sent)
    assert await far_end.read("short", 0, dead=True) == []


async def test_what_others_hold_or_took_is_reported(
    bus: ServiceBus, far_end: Any, command: Any, eventually: Any
) -> None:
    await far_end.set_aside("in", *messages("held", "taken", "free"), reason="Why")
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("in", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as other,
    ):
        locked = {str(one.message_id): one for one in await other.receive_messages(2, max_wait_time=5)}
        running = asyncio.ensure_future(command("resubmit", "in", "--all", "--json"))
        await eventually(lambda: bus.stats()["in"]["active"] == 1)  # it has chosen, and moved what it could
        await other.complete_message(locked["taken"])
        done = await running

    assert done.status == 1
    assert {line["id"]: line.get("problem") for line in done.objects} == {
        "free": None,
        "held": "locked by another receiver",
        "taken": "gone: somebody else settled it",
    }
    assert "1 moved, 2 left" in done.err


async def test_a_deferred_dead_letter_is_reported(bus: ServiceBus, far_end: Any, command: Any) -> None:
    await far_end.set_aside("in", *messages("put-off"), reason="Why")
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("in", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as other,
    ):
        (message,) = await other.receive_messages(1, max_wait_time=5)
        await other.defer_message(message)

    done = await command("resubmit", "in", "--all")

    assert (done.status, done.lines) == (1, ["put-off not moved: it is deferred"])


async def test_an_unknown_id_and_a_body_that_cannot_be_copied_are_reported(far_end: Any, command: Any) -> None:
    odd = AmqpAnnotatedMessage(value_body={"CANARY": 1}, properties={"message_id": "odd"})
    await far_end.set_aside("in", odd, *messages("good"), reason="Why")

    done = await command("resubmit", "in", "--id", "odd", "good", "unknown")

    assert done.status == 1
    assert sorted(done.lines) == [
        "good moved as good#r1",
        "odd not moved: body is not text or bytes: it is an AMQP dict",
        "unknown: no such dead letter",
    ]
    assert "CANARY" not in done.out + done.err
    assert await ids_in(far_end, "in", 1, dead=True) == ["odd"]


async def test_an_interrupted_run_says_what_it_did_and_gives_the_rest_back(bus: ServiceBus, far_end: Any) -> None:
    await far_end.set_aside("in", *messages("held", "first", "other"), reason="Why")
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("in", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as holder,
    ):
        await holder.receive_messages(1, max_wait_time=5)
        process = await start(bus, "in", "--id", "held", "first", "--json")
        assert process.stdout is not None
        first = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = await process.communicate()

    assert (process.returncode, first["id"], first["outcome"], rest) == (130, "first", "moved", b"")
    assert b"1 moved, 1 left" in errors
    assert b"Traceback" not in errors
    left = await far_end.read("in", 1, dead=True)
    assert [(one.message_id, one.delivery_count) for one in left] == [("other", 0)]


async def test_a_reader_that_goes_away_stops_the_moving(bus: ServiceBus, far_end: Any) -> None:
    ids = [f"m-{index}" for index in range(100)]
    await far_end.set_aside("in", *messages(*ids), reason="Why")

    process = await start(bus, "in", "--all")
    head = cast("asyncio.SubprocessTransport", process._transport).get_pipe_transport(1)  # type: ignore[attr-defined]
    await process.stdout.readline()  # type: ignore[union-attr]
    cast("asyncio.BaseTransport", head).close()
    _, errors = await process.communicate()

    assert process.returncode == 141
    assert b"Traceback" not in errors
    moved = bus.stats()["in"]["active"]
    assert 1 <= moved < 100
    left = await ids_in(far_end, "in", 100 - moved, dead=True)
    assert {f"{one}#r1" for one in ids} == {*(f"{one}#r1" for one in left), *await ids_in(far_end, "in", moved)}


async def test_a_subscriptions_dead_letters_go_to_a_queue_and_not_to_the_other_subscriptions(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        ServiceBus([Topic("news", ["mail", "print"]), Queue("again")]) as news,
        ServiceBusClient.from_connection_string(news.connection_string) as client,
    ):
        monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", news.connection_string)
        async with client.get_topic_sender("news") as sender, client.get_subscription_receiver("news", "mail") as mail:
            await sender.send_messages(messages("a"))
            for message in await mail.receive_messages(1, max_wait_time=5):
                await mail.dead_letter_message(message, reason="Why")

        dead = await command("peek", "news", "--subscription", "mail", "--dead-letters", "--json")
        done = await command("resubmit", "news", "--subscription", "mail", "--all", "--to", "again")
        again = await command("peek", "again", "--json")
        others = await command("peek", "news", "--subscription", "print", "--json")

    assert [(one["id"], one["reason"]) for one in dead.objects] == [("a", "Why")]
    assert (done.status, done.lines) == (0, ["a moved as a#r1"])
    assert [one["id"] for one in again.objects] == ["a#r1"]
    assert [one["id"] for one in others.objects] == ["a"]
