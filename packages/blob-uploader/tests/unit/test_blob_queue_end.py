"""How uploads end that nobody waits for, and how the queue ends."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock_blob_uploader import (
    AccessDeniedError,
    Created,
    FileVanishedError,
    NotUploadedError,
    Outcome,
    UnavailableError,
    Upload,
    UploadError,
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


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "nobody waits for" in record.getMessage()]


async def failed(queue: UploadQueue, times: int) -> None:
    async with asyncio.timeout(5):
        while queue.statistics().failed < times:
            await asyncio.sleep(0)


async def test_a_failure_whose_handle_was_dropped_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_over(Script(FileVanishedError("f is gone")).put)
    queue.add(order("f"))

    await failed(queue, 1)
    await queue.stop(drain=None)

    assert len(reports(caplog)) == 1
    assert "f is gone" in reports(caplog)[0]


async def test_a_failure_whose_handle_is_dropped_later_is_logged_then(caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_over(Script(FileVanishedError("f is gone")).put)
    upload = queue.add(order("f"))
    await failed(queue, 1)
    assert not reports(caplog), "somebody may still await it"

    del upload
    gc.collect()

    assert len(reports(caplog)) == 1


async def test_a_failure_still_unheard_of_is_logged_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_over(Script(FileVanishedError("f is gone")).put)
    upload = queue.add(order("f"))

    await queue.stop(drain=None)

    assert len(reports(caplog)) == 1
    del upload
    gc.collect()
    assert len(reports(caplog)) == 1


async def test_an_awaited_failure_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_over(Script(FileVanishedError("f is gone")).put)

    with pytest.raises(FileVanishedError):
        await within(queue.add(order("f")))
    await queue.stop(drain=None)
    gc.collect()

    assert not reports(caplog)


async def test_a_failure_that_is_kept_does_not_keep_what_led_to_it() -> None:
    error = UnavailableError("busy")
    error.__cause__ = ValueError("holds the request, and with it the content")
    upload = queue_over(Script(error).put, max_retries=0).add(order("f"))

    with pytest.raises(UploadError) as failure:
        await within(upload)

    assert failure.value.__cause__ is None


async def test_shutdown_works_until_the_queue_is_empty() -> None:
    queue = queue_over(Script(UnavailableError("busy"), UnavailableError("busy")).put, max_running=2)
    handles = [queue.add(order(f"f{n}")) for n in range(20)]

    left = await queue.stop(drain=None)

    assert left == []
    assert all(handle.done() for handle in handles)
    assert queue.statistics().created == 20


async def test_an_empty_queue_ends_at_once() -> None:
    async with asyncio.timeout(5):
        assert await queue_over(Script().put).stop(drain=None) == []


async def test_at_the_deadline_what_runs_is_ended_and_what_is_left_is_named() -> None:
    async def put(order: Order) -> Created:
        if order.blob_name == "quick":
            return order.created("00")
        await asyncio.Event().wait()
        raise AssertionError

    queue = queue_over(put, max_running=2)
    quick, stuck, also_stuck, waiting = (queue.add(order(name)) for name in ("quick", "stuck", "also-stuck", "waiting"))

    left = await queue.stop(drain=0.05)

    assert isinstance(await within(quick), Created)
    assert sorted(map(str, left)) == ["also-stuck", "stuck", "waiting"]
    for handle in (stuck, also_stuck, waiting):
        with pytest.raises(NotUploadedError, match="kept"):
            await within(handle)
    assert queue.statistics().running == queue.statistics().waiting == 0


async def test_what_is_left_is_reported_together_not_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_over(Script(*(AccessDeniedError("no") for _ in range(1000))).put)
    for n in range(100):
        queue.add(order(f"f{n}"))

    left = await queue.stop(drain=0)

    assert len(left) == queue.statistics().failed == 100
    assert not reports(caplog)


async def test_a_pause_does_not_outlast_the_deadline() -> None:
    queue = queue_over(Script(*(AccessDeniedError("no") for _ in range(1000))).put)
    upload = queue.add(order("f"))

    assert await queue.stop(drain=0.05) == [Path("f")]
    with pytest.raises(NotUploadedError):
        await within(upload)
