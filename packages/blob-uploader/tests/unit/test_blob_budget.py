"""Bounded files and bytes in flight: shares, turns, cancelled waits."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_blob_uploader._budget import Budget
from penstock_blob_uploader._gate import Gate

STEPS = st.lists(st.tuples(st.sampled_from(["ask", "give back", "withdraw"]), st.integers(0, 150), st.integers(0, 50)))


@given(STEPS)
def test_shares_never_exceed_the_budget_and_nobody_is_forgotten(steps: list[tuple[str, int, int]]) -> None:
    budget = Budget(100)
    holding: dict[int, int] = {}
    waiting: dict[int, int] = {}

    def admit(turns: list[int]) -> None:
        for asker in turns:
            holding[asker] = waiting.pop(asker)

    for asker, (step, units, pick) in enumerate(steps):
        if step == "ask":
            (holding if budget.ask(asker, units) else waiting)[asker] = units
        elif step == "give back" and holding:
            chosen = sorted(holding)[pick % len(holding)]
            admit([int(str(turn)) for turn in budget.give_back(holding.pop(chosen))])
        elif step == "withdraw" and waiting:
            chosen = sorted(waiting)[pick % len(waiting)]
            admit([int(str(turn)) for turn in budget.withdraw(chosen, waiting.pop(chosen))])
        held = sum(budget.share(units) for units in holding.values())
        assert budget.free == 100 - held >= 0
        if waiting:
            assert budget.share(waiting[min(waiting)]) > budget.free, "the first in line would fit"


async def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    gate = Gate(10)
    order: list[str] = []

    async def pass_through(name: str, units: int) -> None:
        async with gate.hold(units):
            order.append(name)

    async with asyncio.TaskGroup() as group, gate.hold(5):
        group.create_task(pass_through("large", 10))
        await asyncio.sleep(0)
        group.create_task(pass_through("small", 1))

    assert order == ["large", "small"]


async def test_more_than_everything_counts_as_everything() -> None:
    gate = Gate(10)

    async with asyncio.timeout(5), gate.hold(10_000):
        pass


async def test_a_cancelled_wait_leaves_the_way_free() -> None:
    gate = Gate(1)
    async with gate.hold(1):
        waiting = asyncio.create_task(enter(gate))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async with asyncio.timeout(5), gate.hold(1):
        pass


async def test_a_turn_that_comes_in_the_moment_of_cancellation_is_handed_on() -> None:
    gate = Gate(1)
    async with gate.hold(1):
        first, second = asyncio.create_task(enter(gate)), asyncio.create_task(enter(gate))
        await asyncio.sleep(0)
        first.cancel()

    async with asyncio.timeout(5):
        await second
    assert first.cancelled()


async def enter(gate: Gate) -> None:
    async with gate.hold(1):
        pass
