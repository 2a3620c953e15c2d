"""`penstock-servicebus peek`: what it shows, and that it takes nothing."""

import asyncio
import base64
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler


def messages(count: int) -> list[ServiceBusMessage]:
    return [ServiceBusMessage("x", message_id=f"m-{index}") for index in range(count)]


async def fail(_: str) -> None:
    raise ValueError("CANARY")


async def test_it_shows_each_message_and_leaves_all_where_they_are(bus: ServiceBus, far_end: Any, command: Any) -> None:
    await far_end.send("in", *messages(3))

    shown = await command("peek", "in", "--json")

    assert shown.status == 0
    assert [one["id"] for one in shown.objects] == ["m-0", "m-1", "m-2"]
    assert bus.stats()["in"]["active"] == 3
    found = await far_end.read("in", 3)
    assert {(one.message_id, one.delivery_count) for one in found} == {("m-0", 0), ("m-1", 0), ("m-2", 0)}


async def test_a_line_for_programs_has_every_fact(bus: ServiceBus, far_end: Any, command: Any) -> None:
    await far_end.send("in", ServiceBusMessage('{"n": 1}', message_id="m", content_type="application/json"))
    handler = AsyncServiceBusHandler(
        fail, "in", "out", connection_string=bus.connection_string, max_retries=1, retry_delay=0.01
    )
    await handler.run(until_empty=0.5)

    shown = await command("peek", "in", "--dead-letters", "--json")

    (facts,) = shown.objects
    enqueued = datetime.fromisoformat(facts.pop("enqueued"))
    assert timedelta(0) <= datetime.now(UTC) - enqueued < timedelta(minutes=1)
    assert 0 < facts.pop("age_s") < 60
    assert facts.pop("sequence_number") > 0
    assert facts == {
        "v": 1,
        "id": "m#r1",
        "origin": "m",
        "attempt": 2,
        "state": "active",
        "delivery_count": 0,
        "due": None,
        "size": 8,
        "session_id": None,
        "content_type": "application/json",
        "reason": "RetriesExhausted",
        "description": "1 retries used: ValueError at attempt 2",
    }


async def test_a_table_for_people_says_who_where_and_why(far_end: Any, command: Any) -> None:
    await far_end.set_aside("in", ServiceBusMessage("x" * 1500, message_id="m-1"), reason="Why", description="because")
    await far_end.set_aside("in", ServiceBusMessage("", message_id="m-2"), reason="Again")

    shown = await command("peek", "in", "--dead-letters")

    header, first, why, second, again = shown.lines
    assert header.split() == ["SEQUENCE", "ATTEMPT", "AGE", "SIZE", "ID"]
    assert first.split() == ["1", "1", *first.split()[2:4], "1.5", "KiB", "m-1"]
    assert second.split()[-3:] == ["0", "B", "m-2"]
    assert (why.strip(), again.strip()) == ("Why: because", "Again")


async def test_bodies_are_shown_only_if_asked_for(far_end: Any, command: Any) -> None:
    await far_end.send("in", ServiceBusMessage("CANARY"), ServiceBusMessage(b"\xff\x00"))

    for arguments in (("peek", "in"), ("peek", "in", "--json")):
        shown = await command(*arguments)
        assert "CANARY" not in shown.out + shown.err
    as_text = await command("peek", "in", "--body")
    as_json = await command("peek", "in", "--body", "--json")

    assert "CANARY" in as_text.out
    assert as_json.objects[0]["body"] == "CANARY"
    assert base64.b64decode(as_json.objects[1]["body_base64"]) == b"\xff\x00"


async def test_pages_are_put_together_and_what_is_beyond_the_maximum_is_told(far_end: Any, command: Any) -> None:
    await far_end.send("in", *messages(250))

    everything = await command("peek", "in", "--json", "--max", "1000")
    middle = await command("peek", "in", "--json", "--from", "101", "--max", "120")

    assert [one["sequence_number"] for one in everything.objects] == list(range(1, 251))
    assert everything.err == ""
    assert [one["sequence_number"] for one in middle.objects] == list(range(101, 221))
    assert "--from 221" in middle.err


async def test_what_a_sender_wrote_cannot_move_the_cursor(far_end: Any, command: Any) -> None:
    nasty = "\x1b[2J\r\u202e"
    await far_end.set_aside(
        "in", ServiceBusMessage(nasty, message_id=f"m{nasty}"), reason=f"r{nasty}", description=f"d{nasty}"
    )

    shown = await command("peek", "in", "--dead-letters", "--body")

    assert not any(char in shown.out for char in nasty if char not in "[2J")
    assert "m\\x1b[2J\\r\\u202e" in shown.out


async def test_a_scheduled_message_says_when_it_is_due(bus: ServiceBus, command: Any) -> None:
    due = datetime.now(UTC) + timedelta(hours=2)
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_sender("in") as sender,
    ):
        await sender.schedule_messages(ServiceBusMessage("x", message_id="later"), due)

    as_text = await command("peek", "in")
    as_json = await command("peek", "in", "--json")

    (facts,) = as_json.objects
    assert facts["state"] == "scheduled"
    assert abs(datetime.fromisoformat(facts["due"]) - due) < timedelta(seconds=1)
    assert "scheduled, due in 2.0 h" in as_text.out


async def test_a_deferred_message_says_so(bus: ServiceBus, far_end: Any, command: Any) -> None:
    await far_end.send("in", ServiceBusMessage("x", message_id="put-off"))
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("in") as receiver,
    ):
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.defer_message(message)

    as_text = await command("peek", "in")
    as_json = await command("peek", "in", "--json")

    assert as_json.objects[0]["state"] == "deferred"
    assert "deferred" in as_text.out


async def test_an_empty_queue_is_no_failure(command: Any) -> None:
    shown = await command("peek", "in", "--dead-letters")

    assert (shown.status, shown.out) == (0, "")
    assert "nothing in the dead letters of in" in shown.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("peek", "nowhere"), "cannot open nowhere: MessagingEntityNotFoundError"),
        (("peek", "in", "--max", "0"), "'0' is not a whole number from 1 up"),
        (("peek",), "QUEUE"),
        (("resubmit", "in"), "one of the arguments --id --reason --all is required"),
        (("resubmit", "in", "--all", "--to", "nowhere"), "cannot open nowhere: MessagingEntityNotFoundError"),
        (("resubmit", "topic", "--subscription", "s", "--all"), "say --to QUEUE"),
        ((), "peek | resubmit"),
    ],
)
async def test_what_cannot_be_done_ends_with_status_2_and_a_word(
    command: Any, arguments: tuple[str, ...], told: str
) -> None:
    done = await command(*arguments)

    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err


async def test_without_a_service_bus_it_says_what_to_set(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_BUS_CONNECTION_STRING")

    done = await command("peek", "in")

    assert done.status == 2
    assert "SERVICE_BUS_NAMESPACE" in done.err


async def test_a_reader_that_goes_away_ends_it_quietly(
    bus: ServiceBus, far_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await far_end.send("in", *messages(250))
    monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", bus.connection_string)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_servicebus", "peek", "in", "--json", "--max", "250"),
        stdout=(writing := os.pipe())[1],
        stderr=asyncio.subprocess.PIPE,
    )
    for end in writing:
        os.close(end)

    _, errors = await process.communicate()

    assert (process.returncode, errors) == (141, b"")
