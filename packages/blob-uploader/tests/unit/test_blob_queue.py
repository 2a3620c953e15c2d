"""The queue over a put that does as it is told: order, repetition, pauses."""

import asyncio
import logging
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock_blob_uploader import (
    AccessDeniedError,
    Created,
    FileVanishedError,
    Outcome,
    UnavailableError,
    Upload,
)
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._queue import Rules, UploadQueue
from penstock_blob_uploader._reading import Snapshot
from penstock_blob_uploader._retry import Backoff

Put = Callable[[Order], Awaitable[Outcome]]


def order(name: str) -> Order:
    return Order(path=Path(name), blob_name=name, snapshot=Snapshot(size=3, mtime_ns=0, inode=1))


def queue_over(put: Put, *, max_running: int = 4, max_retries: int = 3, retry_delay: float = 0.001) -> UploadQueue:
    rules = Rules(
        max_running=max_running,
        max_retries=max_retries,
        backoff=Backoff(first=retry_delay, ceiling=0.02),
    )
    return UploadQueue(put, rules)


class Script:
    """A put that meets the errors given, each once, in order, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def put(self, order: Order) -> Created:
        self.asked.append(order.blob_name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.errors:
            raise self.errors.pop(0)
        return order.created("00")


async def within(upload: Upload) -> Outcome:
    async with asyncio.timeout(5):
        return await upload


async def test_all_uploads_arrive_and_no_more_than_allowed_run_at_once() -> None:
    script = Script()
    queue = queue_over(script.put, max_running=4)

    handles = [queue.add(order(f"f{n}")) for n in range(50)]
    outcomes = [await within(handle) for handle in handles]

    assert [outcome.blob_name for outcome in outcomes] == [f"f{n}" for n in range(50)]
    assert script.asked == [f"f{n}" for n in range(50)]
    assert script.most_at_once == 4
    assert queue.statistics().created == 50


async def test_a_passing_failure_is_repeated_until_it_arrives() -> None:
    script = Script(UnavailableError("busy"), UnavailableError("busy"))
    queue = queue_over(script.put)

    outcome = await within(queue.add(order("f")))

    assert isinstance(outcome, Created)
    assert script.asked == ["f", "f", "f"]
    assert queue.statistics().retries == 2


async def test_attempts_are_used_up_after_max_retries() -> None:
    script = Script(*(UnavailableError(f"busy {n}") for n in range(10)))
    queue = queue_over(script.put, max_retries=3)

    with pytest.raises(UnavailableError, match="busy 3"):
        await within(queue.add(order("f")))

    assert len(script.asked) == 4
    assert queue.statistics().failed == 1


async def test_a_permanent_failure_is_told_at_once_and_touches_no_other() -> None:
    queue = queue_over(Script(FileVanishedError("gone")).put)

    gone, fine = queue.add(order("gone")), queue.add(order("fine"))

    with pytest.raises(FileVanishedError):
        await within(gone)
    assert isinstance(await within(fine), Created)
    assert queue.statistics().retries == 0


async def test_a_broken_setup_pauses_everything_uses_up_no_attempt_and_resumes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "penstock_blob_uploader")
    script = Script(*(AccessDeniedError(f"give it the role ({n})") for n in range(12)))
    queue = queue_over(script.put, max_retries=0)

    handles = [queue.add(order(f"f{n}")) for n in range(8)]
    outcomes = [await within(handle) for handle in handles]

    assert {outcome.blob_name for outcome in outcomes} == {f"f{n}" for n in range(8)}
    assert len(script.asked) == 8 + 12
    assert queue.statistics().paused is None
    assert queue.statistics().failed == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "give it the role" in warnings[0]


async def test_while_the_setup_is_broken_only_one_at_a_time_asks_and_statistics_say_why() -> None:
    mended = asyncio.Event()
    probes = asyncio.Queue[str]()
    under_way: set[str] = set()

    async def put(order: Order) -> Created:
        if not mended.is_set():
            under_way.add(order.blob_name)
            probes.put_nowait(order.blob_name)
            await asyncio.sleep(0)
            most.append(len(under_way))
            under_way.remove(order.blob_name)
            raise AccessDeniedError("give it the role")
        return order.created("00")

    most: list[int] = []
    queue = queue_over(put, max_running=4)
    handles = [queue.add(order(f"f{n}")) for n in range(6)]
    async with asyncio.timeout(5):
        asked = [await probes.get() for _ in range(12)]

    assert set(most[4:]) == {1}, "after the first wave a single probe at a time"
    assert set(asked) == {f"f{n}" for n in range(6)}, "probes take turns"
    assert queue.statistics().paused == "give it the role"
    mended.set()
    for handle in handles:
        await within(handle)


async def test_a_fault_of_ours_fails_its_upload_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_over(Script(ZeroDivisionError("a bug")).put)

    broken, fine = queue.add(order("broken")), queue.add(order("fine"))

    with pytest.raises(ZeroDivisionError):
        await within(broken)
    assert isinstance(await within(fine), Created)
    assert "a fault of the uploader" in caplog.text


async def test_giving_up_waiting_does_not_give_up_the_upload() -> None:
    go_on = asyncio.Event()

    async def put(order: Order) -> Created:
        await go_on.wait()
        return order.created("00")

    upload = queue_over(put).add(order("f"))
    waiting = asyncio.ensure_future(within(upload))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    go_on.set()
    assert isinstance(await within(upload), Created)


async def test_a_queued_file_costs_little_memory() -> None:
    queue = queue_over(Script(AccessDeniedError("no")).put, max_running=1)
    queue.add(order("f"))
    tracemalloc.start()

    handles = [queue.add(order(f"f{n}")) for n in range(2000)]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert used < 2000 * 3000
    await queue.stop(drain=0)
    assert len(handles) == queue.statistics().failed - 1
