"""Throttling for minutes and hours, on a clock that jumps to the next thing to do."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from penstock_blob_uploader import AccessDeniedError, Created, Outcome, UnavailableError
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._queue import Rules, UploadQueue
from penstock_blob_uploader._reading import Snapshot
from penstock_blob_uploader._retry import Backoff


class Jumping(selectors.DefaultSelector):
    """Waits for nothing: the time it is told to wait is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += max(timeout or 0.0, 1e-6)  # a pause that ends a rounding error early must not last for ever
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on which hours pass in milliseconds."""

    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_no_time(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(test)


def queue_over(put: Callable[[Order], Awaitable[Outcome]], *, chance: float = 0.5, **rules: int) -> UploadQueue:
    settings: dict[str, Any] = {"max_running": 8, "max_retries": 16, **rules}
    clock = asyncio.get_running_loop().time
    return UploadQueue(put, Rules(backoff=Backoff(first=2.0), clock=clock, chance=lambda: chance, **settings))


def order(name: str) -> Order:
    return Order(path=Path(name), blob_name=name, snapshot=Snapshot(size=3, mtime_ns=0, inode=1))


class Throttled:
    """A service that refuses until it has been asked so often, or always."""

    def __init__(self, refusals: float, error: Callable[[], Exception]) -> None:
        self.asked: list[float] = []
        self._refusals = refusals
        self._error = error

    async def put(self, order: Order) -> Created:
        self.asked.append(asyncio.get_running_loop().time())
        if len(self.asked) <= self._refusals:
            raise self._error()
        return order.created("00")

    def waits(self) -> list[float]:
        return [round(after - before) for before, after in zip(self.asked, self.asked[1:], strict=False)]


def test_sixteen_repetitions_outlast_48_minutes_of_trouble() -> None:
    service = Throttled(16, lambda: UnavailableError("busy"))

    async def test() -> None:
        assert isinstance(await queue_over(service.put).add(order("f")), Created)

    in_no_time(test())
    assert service.waits() == [2, 4, 8, 16, 32, 64, 128, 256] + [300] * 8
    assert service.asked[-1] > 2900


def test_trouble_that_lasts_longer_is_told() -> None:
    service = Throttled(17, lambda: UnavailableError("busy"))

    async def test() -> None:
        with pytest.raises(UnavailableError):
            await queue_over(service.put).add(order("f"))

    in_no_time(test())
    assert len(service.asked) == 17


def test_the_service_is_left_alone_for_as_long_as_it_asks() -> None:
    service = Throttled(3, lambda: UnavailableError("busy", retry_after=1800))

    async def test() -> None:
        await queue_over(service.put, chance=0.0).add(order("f"))

    in_no_time(test())
    assert service.waits() == [1800, 1800, 1800]


def test_a_throttled_file_does_not_hold_up_the_others() -> None:
    async def put(order: Order) -> Created:
        if order.blob_name == "throttled" and asyncio.get_running_loop().time() < 600:
            raise UnavailableError("busy", retry_after=600)
        return order.created("00")

    async def test() -> None:
        queue = queue_over(put, max_running=1)
        throttled = queue.add(order("throttled"))
        for n in range(100):
            await queue.add(order(f"f{n}"))
        assert asyncio.get_running_loop().time() < 1
        await throttled
        assert asyncio.get_running_loop().time() >= 600

    in_no_time(test())


def test_a_setup_that_is_broken_for_a_day_uses_up_nothing_and_is_probed_every_five_minutes() -> None:
    day = 24 * 3600
    probes: list[float] = []

    async def put(order: Order) -> Created:
        now = asyncio.get_running_loop().time()
        if now < day:
            probes.append(now)
            raise AccessDeniedError("give it the role")
        return order.created("00")

    async def test() -> None:
        queue = queue_over(put, max_running=1, max_retries=0)
        handles = [queue.add(order(f"f{n}")) for n in range(50)]
        for handle in handles:
            assert isinstance(await handle, Created)
        assert asyncio.get_running_loop().time() < day + 301
        assert queue.statistics().retries == queue.statistics().failed == 0

    in_no_time(test())
    assert day / 300 <= len(probes) <= day / 300 + 10
