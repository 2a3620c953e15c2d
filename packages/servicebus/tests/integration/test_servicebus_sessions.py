"""Sessions: in order and one at a time in each, several at once; counted at the far end."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import CloseConnection, Queue, Refuse, ServiceBus, Subscription, Topic
from penstock_servicebus import AsyncServiceBusHandler, LockLost, MessageContext, Result, ServiceBusUnavailable


class QuotaAwayError(Exception):
    environment = True
    retry_after = 0.05


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBus]:
    """Session queues "boxes" and "short" (whose locks last two seconds), and queues "out" and "sorted" (by session)."""
    queues = [
        Queue("boxes", requires_session=True, duplicate_detection=600.0),
        Queue("short", requires_session=True, lock_duration=2.0, duplicate_detection=600.0),
        Queue("sorted", requires_session=True, duplicate_detection=600.0),
        Queue("out", duplicate_detection=600.0),
    ]
    async with ServiceBus(queues) as service_bus:
        yield service_bus


def in_sessions(*sessions: str, each: int) -> list[ServiceBusMessage]:
    """Messages of all sessions in turn, numbered within each."""
    return [
        ServiceBusMessage(f"{session}-{number}", message_id=f"{session}-{number}", session_id=session)
        for number in range(each)
        for session in sessions
    ]


def handler_of(bus: ServiceBus, processor: Any, queue: str = "boxes", **options: Any) -> AsyncServiceBusHandler:
    options = {"max_concurrency": 4, "retry_delay": 0.1, "max_wait_time": 0.5} | options
    return AsyncServiceBusHandler(
        processor, queue, options.pop("out", "out"), sessions=True, connection_string=bus.connection_string, **options
    )


async def test_each_session_is_worked_on_in_order_and_several_at_once(bus: ServiceBus, far_end: Any) -> None:
    orders: dict[str | None, list[str]] = defaultdict(list)
    running: set[str | None] = set()
    at_once: list[int] = []

    async def work(message: str, context: MessageContext) -> str:
        assert context.session_id not in running, "two of one session at once"
        running.add(context.session_id)
        at_once.append(len(running))
        await asyncio.sleep(0.15)
        orders[context.session_id].append(message)
        running.discard(context.session_id)
        return message

    await far_end.send("boxes", *in_sessions("a", "b", "c", each=8))
    handler = handler_of(bus, work)

    statistics = await handler.run(max_messages=24)

    found = await far_end.read("out", 24)
    assert orders == {session: [f"{session}-{number}" for number in range(8)] for session in "abc"}
    assert {result.message_id for result in found} == {f"{session}-{n}/0" for session in "abc" for n in range(8)}
    assert max(at_once) == 3
    assert statistics.completed == bus.stats()["boxes"]["completed"] == 24


async def test_one_slot_goes_from_session_to_session(bus: ServiceBus, far_end: Any) -> None:
    order: list[str] = []

    async def note(message: str) -> None:
        order.append(message)

    await far_end.send("boxes", *in_sessions("a", "b", "c", each=2))

    statistics = await handler_of(bus, note, max_concurrency=1).run(until_empty=0.4)

    assert order == ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"]
    assert statistics.completed == 6


async def test_a_session_under_way_is_not_taken_for_an_empty_queue(bus: ServiceBus, far_end: Any) -> None:
    async def work(message: str) -> str:
        await asyncio.sleep(1.0)
        return message

    await far_end.send("boxes", *in_sessions("only", each=2))

    statistics = await handler_of(bus, work).run(until_empty=0.3)

    assert statistics.completed == 2


async def test_the_sessions_lock_is_kept_while_the_work_takes_longer(bus: ServiceBus, far_end: Any) -> None:
    ends: list[float] = []

    async def slow(message: str, context: MessageContext) -> str:
        await asyncio.sleep(3.0)
        assert context.locked_until is not None
        ends.append(context.locked_until.timestamp() - time.time())
        return message

    await far_end.send("short", *in_sessions("s", each=2))

    statistics = await handler_of(bus, slow, "short").run(max_messages=2)

    assert (statistics.completed, statistics.lock_lost) == (2, 0)
    assert statistics.locks_renewed >= 4
    assert all(0 < left <= 2.0 for left in ends)
    assert [result.delivery_count for result in await far_end.read("out", 2)] == [0, 0]


async def test_state_is_kept_with_the_session_from_message_to_message(bus: ServiceBus, far_end: Any) -> None:
    async def number(_: str, context: MessageContext) -> str:
        assert context.session is not None
        so_far = int(await context.session.get_state() or b"0") + 1
        await context.session.set_state(str(so_far))
        return f"{context.session_id} {so_far}"

    await far_end.send("boxes", *in_sessions("a", "b", each=3))

    await handler_of(bus, number).run(max_messages=6)

    found = await far_end.read("out", 6)
    assert {result.body.decode() for result in found} == {f"{session} {n}" for session in "ab" for n in (1, 2, 3)}


async def test_state_can_be_forgotten_and_is_out_of_reach_once_the_session_is_left(
    bus: ServiceBus, far_end: Any
) -> None:
    kept: list[Any] = []

    async def keep(_: str, context: MessageContext) -> None:
        assert context.session is not None
        await context.session.set_state(b"\x00kept")
        kept.append(await context.session.get_state())
        await context.session.set_state(None)
        kept.extend([await context.session.get_state(), context.session])

    await far_end.send("boxes", *in_sessions("a", each=1))

    await handler_of(bus, keep).run(max_messages=1)

    *states, session = kept
    assert states == [b"\x00kept", None]
    with pytest.raises(LockLost):
        await session.get_state()


async def test_a_failed_attempt_waits_here_and_the_order_is_kept(bus: ServiceBus, far_end: Any) -> None:
    seen: list[tuple[str, int]] = []

    async def fail_at_first(message: str, context: MessageContext) -> str:
        seen.append((message, context.attempt))
        if message == "a-0" and context.attempt < 3:
            raise RuntimeError
        return message

    await far_end.send("boxes", *in_sessions("a", each=2))

    statistics = await handler_of(bus, fail_at_first).run(max_messages=4)

    assert seen == [("a-0", 1), ("a-0", 2), ("a-0", 3), ("a-1", 1)]
    assert (statistics.abandoned, statistics.completed) == (2, 2)
    assert bus.stats()["boxes"]["enqueued"] == 2
    assert len(await far_end.read("out", 2)) == 2


async def test_a_message_whose_lock_was_lost_goes_first_again(bus: ServiceBus, far_end: Any) -> None:
    seen: list[str] = []

    async def fail_at_first(message: str) -> None:
        seen.append(message)
        if len(seen) == 1:
            raise RuntimeError

    bus.faults.add(Refuse("com.microsoft:message-lock-lost", status=410), on="settle", entity="boxes", nth=1)
    await far_end.send("boxes", *in_sessions("a", each=2))

    await handler_of(bus, fail_at_first).run(max_messages=3)

    assert seen == ["a-0", "a-0", "a-1"]


@pytest.mark.parametrize(
    "fault",
    [CloseConnection(done=False), Refuse("com.microsoft:message-lock-lost", status=410)],
    ids=["cut", "refused"],
)
async def test_a_job_ends_also_when_its_last_message_is_lost_with_its_session(
    bus: ServiceBus, far_end: Any, fault: Any
) -> None:
    async def echo(message: str) -> str:
        return message

    bus.faults.add(fault, on="settle", entity="boxes", nth=1)
    await far_end.send("boxes", *in_sessions("a", each=1))

    async with asyncio.timeout(20):
        statistics = await handler_of(bus, echo).run(max_messages=1)

    assert (statistics.received, statistics.lock_lost) == (1, 1)


async def test_results_go_to_the_session_of_their_message(bus: ServiceBus, far_end: Any) -> None:
    async def echo(message: str) -> str:
        return message

    await far_end.send("boxes", *in_sessions("a", "b", each=1))

    await handler_of(bus, echo, out="sorted").run(max_messages=2)

    async with ServiceBusClient.from_connection_string(bus.connection_string) as client:
        for session in "ab":
            async with client.get_queue_receiver("sorted", session_id=session) as receiver:
                (result,) = await receiver.receive_messages(1, max_wait_time=5)
                assert (result.session_id, result.message_id) == (session, f"{session}-0/0")


async def test_a_stop_finishes_the_message_and_frees_the_session(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    release = asyncio.Event()

    async def work(message: str) -> str:
        await release.wait()
        return message

    await far_end.send("boxes", *in_sessions("a", each=2))
    handler = handler_of(bus, work)
    async with handler:
        await eventually(lambda: handler.statistics().in_progress == 1)
        stopping = asyncio.create_task(handler.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        release.set()
        await stopping

    assert handler.statistics().completed == 1
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("boxes", session_id="a") as receiver,
    ):
        (left,) = await receiver.receive_messages(1, max_wait_time=5)
        assert (left.message_id, left.delivery_count) == ("a-1", 0)


async def test_after_the_drain_the_message_goes_back_uncounted(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    await far_end.send("boxes", *in_sessions("a", each=1))
    handler = handler_of(bus, hang)
    async with handler:
        await eventually(lambda: handler.statistics().in_progress == 1)
        await handler.stop(drain=0.1)

    assert handler.statistics().released == 1
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("boxes", session_id="a") as receiver,
    ):
        (back,) = await receiver.receive_messages(1, max_wait_time=5)
        assert (back.message_id, back.delivery_count) == ("a-0", 0)


async def test_work_of_a_session_that_is_lost_is_given_up_and_done_again(
    bus: ServiceBus, far_end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    given_up: list[str] = []
    calls = 0

    async def outlive_the_lock_once(message: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            time.sleep(2.5)  # noqa: ASYNC251 - blocks the loop, and the broker in it, until the lock has expired
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                given_up.append(message)
                raise
        return message

    await far_end.send("short", *in_sessions("s", each=2))

    statistics = await handler_of(bus, outlive_the_lock_once, "short").run(max_messages=3)

    assert given_up == ["s-0"]
    assert "a session was lost: cannot renew a session's lock: SessionLockLostError" in caplog.text
    assert (statistics.lock_lost, statistics.completed) == (1, 2)
    assert [result.message_id for result in await far_end.read("out", 2)] == ["s-0/0", "s-1/0"]


async def test_cut_connections_lose_nothing_double_nothing_and_mix_nothing_up(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    finished: dict[str, list[str]] = defaultdict(list)

    async def work(message: str, context: MessageContext) -> str:
        await asyncio.sleep(0.05)
        finished[str(context.session_id)].append(message)
        return message

    await far_end.send("short", *in_sessions("a", "b", "c", each=12))
    async with handler_of(bus, work, "short") as handler:
        for done in (6, 18):
            await eventually(lambda done=done: handler.total_processed_messages >= done)
            for connection in list(bus._connections):
                connection.abort()
        await eventually(lambda: bus.stats()["short"]["completed"] == 36)

    assert bus.stats()["out"]["enqueued"] == 36
    for session, messages in finished.items():
        first_times = list(dict.fromkeys(messages))
        assert first_times == [f"{session}-{number}" for number in range(12)]


async def test_an_open_breaker_accepts_no_session_but_for_the_probe_and_all_goes_on_afterwards(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    available = asyncio.Event()
    orders: dict[str | None, list[str]] = defaultdict(list)

    async def ask(message: str, context: MessageContext) -> str:
        if not available.is_set():
            raise QuotaAwayError
        orders[context.session_id].append(message)
        return message

    await far_end.send("boxes", *in_sessions(*"abcdef", each=2))
    async with handler_of(bus, ask, max_concurrency=3, retry_delay=0.2) as handler:
        await eventually(lambda: handler.statistics().breaker.open)
        await asyncio.sleep(1.5)  # long enough to accept more, if it did
        paused = handler.statistics()
        available.set()
        await eventually(lambda: handler.total_processed_messages == 12)

    assert paused.received <= 3
    assert paused.breaker.why == "QuotaAwayError"
    assert orders == {session: [f"{session}-0", f"{session}-1"] for session in "abcdef"}
    assert handler.statistics().abandoned == 0


async def test_a_subscription_may_require_sessions_too() -> None:
    async def echo(message: str, context: MessageContext) -> Result:
        return Result(message, properties={"attempt": context.attempt})

    topic = Topic("news", [Subscription("mail", requires_session=True)])
    async with (
        ServiceBus([topic, Queue("out")]) as bus,
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_topic_sender("news") as sender,
        client.get_queue_receiver("out") as receiver,
    ):
        await sender.send_messages(in_sessions("a", "b", each=3))
        statistics = await handler_of(bus, echo, "news", in_subscription="mail").run(max_messages=6)
        results = await receiver.receive_messages(10, max_wait_time=2)

    ids = [str(result.message_id) for result in results]
    assert [each for each in ids if each.startswith("a")] == ["a-0/0", "a-1/0", "a-2/0"]
    assert [each for each in ids if each.startswith("b")] == ["b-0/0", "b-1/0", "b-2/0"]
    assert statistics.completed == 6


async def test_an_idle_worker_keeps_one_connection_that_looks_for_sessions(bus: ServiceBus, eventually: Any) -> None:
    async def echo(message: str) -> str:
        return message

    async with handler_of(bus, echo, max_concurrency=8) as handler:
        most = 0
        for _ in range(20):
            await asyncio.sleep(0.1)
            most = max(most, len(bus._connections))
        assert handler.running
        await eventually(lambda: handler.sleep_seconds == 0.5)

    assert most <= 3  # the sender's, the one that looks, and the one it has just closed


@pytest.mark.parametrize(("queue", "sessions"), [("boxes", False), ("out", True), ("nowhere", True)])
async def test_a_queue_of_another_kind_is_refused_at_the_start(bus: ServiceBus, queue: str, sessions: bool) -> None:  # noqa: FBT001 - a case
    async def echo(message: str) -> str:
        return message

    handler = AsyncServiceBusHandler(
        echo, queue, "out", sessions=sessions, connection_string=bus.connection_string, max_wait_time=0.5
    )

    with pytest.raises(ServiceBusUnavailable, match=f"of {queue} at 127.0.0.1") as caught:
        await handler.run(until_empty=0.1)

    assert not handler.running
    assert (caught.value.environment, caught.value.permanent) == (True, False)
