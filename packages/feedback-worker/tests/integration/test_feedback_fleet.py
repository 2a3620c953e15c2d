"""Processes that are kept alive, and processes a run cannot do without."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from feedback_worker._child import Child
from feedback_worker._errors import RunError, UsageError
from feedback_worker._fleet import MAX_QUICK_DEATHS, Fleet

Start = Callable[[str], Awaitable[Child]]

PROGRAM = """
import os, sys
name = sys.argv[1]
if name == "refuses": sys.exit(2)
if name == "dies": sys.exit(7)
print('{"v": 1, "pid": %d}' % os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    async def start(name: str) -> Child:
        return await Child.start(name, "program", [name], environment)

    return start


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


async def until_checked(fleet: Fleet, within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while True:
            fleet.check()
            await asyncio.sleep(0.01)


async def test_a_killed_process_is_started_again_however_often(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedback_worker._fleet.RESTART_DELAY", 0.001)
    started: list[Child] = []

    async def keep() -> Child:
        child = await start("stays")
        await child.ready(10)
        started.append(child)
        return child

    fleet = Fleet()
    await fleet.keep(keep)
    for number in range(MAX_QUICK_DEATHS + 1):
        os.kill(started[number].pid, signal.SIGKILL)
        await until(lambda wanted=number + 2: len(started) == wanted)  # type: ignore[misc]
    fleet.check()
    await fleet.stop(5)

    assert started[-1].returncode is not None
    assert len({child.pid for child in started}) == len(started)


async def test_a_process_that_dies_at_once_each_time_ends_the_run(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedback_worker._fleet.RESTART_DELAY", 0.001)
    fleet = Fleet()
    await fleet.keep(lambda: start("dies"))

    with pytest.raises(RunError, match="dies ends as soon as it starts, with status 7"):
        await until_checked(fleet)
    await fleet.stop(5)


async def test_a_process_that_refuses_its_arguments_is_not_started_again(start: Start) -> None:
    fleet = Fleet()
    await fleet.keep(lambda: start("refuses"))

    with pytest.raises(UsageError, match="refuses does not start"):
        await until_checked(fleet)
    await fleet.stop(5)


async def test_the_death_of_a_process_the_run_cannot_do_without_is_said(start: Start) -> None:
    fleet = Fleet()
    child = await start("stays")
    fleet.own(child)
    fleet.check()
    os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(RunError, match="stays ended with status -9"):
        await until_checked(fleet)
    await fleet.stop(5)


async def test_a_process_that_ends_before_it_is_ready_is_an_error(start: Start) -> None:
    dies = await start("dies")
    refuses = await start("refuses")

    with pytest.raises(RunError, match="ended with status 7 before it was ready"):
        await dies.ready(10)
    with pytest.raises(UsageError, match="refuses did not start"):
        await refuses.ready(10)
