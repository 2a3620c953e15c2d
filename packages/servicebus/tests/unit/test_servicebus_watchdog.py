"""Noticing a loop that stands still, and naming what keeps it."""

import asyncio
import contextlib
import sys
import time

import pytest

from penstock_servicebus._signature import Processor
from penstock_servicebus._statistics import Counts
from penstock_servicebus._watchdog import Watchdog


class Hands:
    time = 0.0

    def __call__(self) -> float:
        return self.time


class Worker:
    async def process(self, message: str) -> None:
        crunch(float(message))


def crunch(seconds: float) -> None:
    time.sleep(seconds)


def test_it_warns_at_most_once_a_minute_and_counts_every_time(caplog: pytest.LogCaptureFixture) -> None:
    hands, counts = Hands(), Counts()
    watchdog = Watchdog(Processor(Worker().process), counts, hands)

    for moment, late in ((0.0, 0.9), (1.0, 1.5), (30.0, 9.0), (60.9, 9.0), (61.0, 2.5)):
        hands.time = moment
        watchdog.woke(late)

    assert counts.standstills == 4
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [1.5, 2.5]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


async def test_it_names_the_processor_and_the_function_in_it_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    processor, counts = Processor(Worker().process), Counts()
    watching = asyncio.create_task(Watchdog(processor, counts).run())
    await asyncio.sleep(0)

    await Worker().process("1.6")
    async with asyncio.timeout(10):
        while not counts.standstills:
            await asyncio.sleep(0.01)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching

    (warning,) = [record.getMessage() for record in caplog.records]
    assert "Worker.process, in " in warning
    assert f"{__name__}.crunch" in warning
    assert warning.startswith("the event loop stood still for 1.")


async def test_something_else_is_not_blamed_on_the_processor() -> None:
    watchdog = Watchdog(Processor(Worker().process), Counts())

    named = watchdog.culprit(sys._getframe())

    assert named == f"{__name__}.test_something_else_is_not_blamed_on_the_processor"
