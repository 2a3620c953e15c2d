"""The store's clock tells everybody's time; when it is set, no window holds more than the limit by any other clock.

The store is a real server and runs the real scripts; only its clock and that of the counters' machine are the test's.
"""

from __future__ import annotations

import asyncio
import runpy
import secrets
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_token_client import Limits
from penstock_token_client.accounting import Grant, Order
from penstock_token_counter import _store_scripts
from penstock_token_counter._knowledge import Knowledge
from penstock_token_counter._shared_gate import SharedGate
from penstock_token_counter._store import Store
from penstock_token_counter._store_clock import StoreClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from valkey_process import ValkeyProcess
else:
    ValkeyProcess = runpy.run_path(str(Path(__file__).parents[1] / "valkey_process.py"))["ValkeyProcess"]

LIMITS = Limits(tpm=1000, rpm=60, headroom=0.0, margin=2.0)
SPAN = LIMITS.window + LIMITS.margin
EVERYTHING = Order("a", LIMITS.tpm)


class Clocks:
    """The store's clock and the machine's, which the test sets."""

    def __init__(self, valkey: ValkeyProcess) -> None:
        self.machine = 100.0
        self._store = 1_000_000
        self._valkey = valkey
        self.put_forward(0)

    def put_forward(self, seconds: int) -> None:
        """Set the store's clock."""
        self._store += seconds
        with self._valkey.client() as client:
            client.set("seconds", self._store)

    def pass_by(self, seconds: int) -> None:
        """Let time pass."""
        self.machine += seconds
        self.put_forward(seconds)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with ValkeyProcess() as process:
        yield process


@pytest.fixture
def clocks(valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch) -> Clocks:
    monkeypatch.setattr(_store_scripts, "CLOCK", "{redis.call('GET', 'seconds'), 0}")
    return Clocks(valkey)


@asynccontextmanager
async def counter(valkey: ValkeyProcess, pool: str, clocks: Clocks) -> AsyncIterator[SharedGate]:
    """Serve a pool, and know the time by the store's clock."""
    store = Store(valkey.url, counter=secrets.token_hex(4), timeout=30.0)
    gate = SharedGate(pool, LIMITS, store, assume_idle=True, monotonic=lambda: clocks.machine)
    try:
        gate.start()
        async with asyncio.timeout(60):
            while not gate.ready:
                await asyncio.sleep(0.01)
        yield gate
    finally:
        await gate.aclose()
        await store.aclose()


async def granted_after_a_step(valkey: ValkeyProcess, clocks: Clocks) -> list[bool]:
    """Use up the window, put the store's clock forward by one, and see what two counters grant, also later."""
    pool = secrets.token_hex(8)
    async with counter(valkey, pool, clocks) as first, counter(valkey, pool, clocks) as second:
        assert isinstance(await first.ask(EVERYTHING, None, wait=0), Grant)
        clocks.put_forward(int(SPAN))
        at_once = [await gate.ask(EVERYTHING, None, wait=0) for gate in (second, first)]
        clocks.pass_by(int(SPAN))
        later = [await gate.ask(EVERYTHING, None, wait=0) for gate in (second, first)]
        return [isinstance(asked, Grant) for asked in at_once + later]


async def test_a_clock_that_was_put_forward_makes_everybody_wait_for_one_window(
    valkey: ValkeyProcess, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    assert await granted_after_a_step(valkey, clocks) == [False, False, True, False]

    told = [record.getMessage() for record in caplog.records if "put forward by 62.0 s" in record.getMessage()]
    assert len(told) == 2  # by each counter


async def test_that_would_be_noticed_if_nobody_was_in_doubt(
    valkey: ValkeyProcess, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Knowledge, "doubt", lambda _: None)

    assert await granted_after_a_step(valkey, clocks) == [True, False, True, False]


async def test_a_clock_that_was_set_back_stands_still_until_it_is_right_again(
    valkey: ValkeyProcess, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    async with counter(valkey, secrets.token_hex(8), clocks) as gate:
        assert isinstance(await gate.ask(EVERYTHING, None, wait=0), Grant)
        clocks.put_forward(-30)
        clocks.pass_by(int(SPAN))
        assert await gate.ask(EVERYTHING, None, wait=0) is None
        clocks.pass_by(30)
        assert isinstance(await gate.ask(EVERYTHING, None, wait=0), Grant)

    assert "put forward" not in caplog.text


class Machine:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def step_of(answers: list[tuple[float, float, float]]) -> float:
    """Return by what the store's clock was last put forward, told when it was asked and answered, and what it said."""
    machine = Machine()
    clock = StoreClock(machine)
    ahead = 0.0
    for asked, answered, said in answers:
        machine.now = answered
        ahead = clock.set(said, asked)
    return ahead


def test_nothing_is_known_of_a_clock_that_was_read_once() -> None:
    assert step_of([(100.0, 100.0, 5000.0)]) == 0


def test_what_an_answer_took_explains_a_difference() -> None:
    assert step_of([(100.0, 103.0, 5000.0), (110.0, 110.0, 5010.0)]) == 0
    assert step_of([(100.0, 100.0, 5000.0), (110.0, 113.0, 5013.0)]) == 0


def test_a_step_is_told_as_far_as_nothing_else_explains_it() -> None:
    assert step_of([(100.0, 101.0, 5000.0), (110.0, 111.0, 5014.0)]) == 3


def test_clocks_that_drift_apart_in_an_hour_are_not_set() -> None:
    assert step_of([(100.0, 100.0, 5000.0), (3700.0, 3700.0, 8602.0)]) == 0


def test_each_step_is_told_once() -> None:
    assert step_of([(100.0, 100.0, 5000.0), (101.0, 101.0, 5003.0), (102.0, 102.0, 5004.0)]) == 0
