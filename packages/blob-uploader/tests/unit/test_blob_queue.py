"""The queue over a put that does as it is told: repetition, pauses, shutdown, and failures nobody awaits."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock_blob_uploader import (
    AccessDeniedError,
    Created,
    FileVanishedError,
    NotUploadedError,
    Same,
    UnavailableError,
    Upload,
    UploadError,
)
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._queue import Rules, UploadQueue
from penstock_blob_uploader._reading import Snapshot
from penstock_blob_uploader._retry import Backoff

Put = Callable[[Order], Awaitable[Created | Same]]


def order(name: str) -> Order:
    return Order(path=Path(name), blob_name=name, snapshot=Snapshot(size=3, mtime_ns=0, inode=1, device=1))


def queue_over(put: Put, *, max_running: int = 4, max_retries: int = 3, retry_delay: float = 0.001) -> UploadQueue:
    rules = Rules(
        max_running=max_running,
        max_retries=max_retries,
        backoff=Backoff(first=retry_delay, ceiling=0.02),
        delete_after_upload=False,
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


async def within(upload: Upload) -> Created | Same:
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


# --- Failures nobody awaits -------------------------------------------------------------------------------------------


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


# --- The end ----------------------------------------------------------------------------------------------------------


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


async def test_a_pause_does_not_outlast_the_deadline() -> None:
    queue = queue_over(Script(*(AccessDeniedError("no") for _ in range(1000))).put)
    upload = queue.add(order("f"))

    assert await queue.stop(drain=0.05) == [Path("f")]
    with pytest.raises(NotUploadedError):
        await within(upload)
