"""The gate: who waits for the environment, and what ends the waiting."""

import asyncio
import time

import pytest

from penstock_servicebus._breaker import Breaker
from penstock_servicebus._gate import Gate


class AwayError(Exception):
    environment = True


def new_gate(pause: float = 0.01) -> Gate:
    return Gate(Breaker(threshold=1, first_pause=pause, max_pause=pause, now=time.monotonic))


async def fail(gate: Gate, error: Exception) -> None:
    with pytest.raises(type(error)):
        async with gate.passage():
            raise error


async def test_ordinary_errors_do_not_shut_it() -> None:
    gate = new_gate()

    await fail(gate, ValueError())

    assert not gate.is_shut


async def test_while_shut_only_the_probe_may_be_taken_and_only_if_nothing_held_can_be_it() -> None:
    gate = new_gate(pause=0.001)
    await fail(gate, AwayError())
    await asyncio.sleep(0.002)

    assert gate.may_take(0)
    assert not gate.may_take(1)


async def test_one_probe_goes_the_others_wait_for_its_answer() -> None:
    gate = new_gate()
    await fail(gate, AwayError())
    inside: list[int] = []
    answer = asyncio.Event()

    async def work(number: int) -> None:
        async with gate.passage():
            inside.append(number)
            await answer.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    async with asyncio.timeout(5):
        while not inside:
            await asyncio.sleep(0)
    during = len(inside), gate.waiting
    answer.set()
    await asyncio.gather(*tasks)

    assert during == (1, 2)
    assert sorted(inside) == [0, 1, 2]
    assert gate.waiting == 0


async def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    gate = new_gate()
    await fail(gate, AwayError())
    inside: list[int] = []

    async def work(number: int) -> None:
        async with gate.passage():
            inside.append(number)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(work(number)) for number in range(2)]
    async with asyncio.timeout(5):
        while len(inside) < 2:
            for number in inside:
                tasks[number].cancel()
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert sorted(inside) == [0, 1]


async def test_a_shutdown_ends_all_waiting_now_and_later() -> None:
    gate = new_gate(pause=60.0)
    await fail(gate, AwayError())

    async def work() -> None:
        async with gate.passage():
            raise AssertionError

    waiting = [asyncio.create_task(work()), asyncio.create_task(gate.pause(60.0))]
    await asyncio.sleep(0)
    gate.shut_down()
    late = asyncio.create_task(gate.pause(60.0))
    await asyncio.wait([*waiting, late])

    assert all(task.cancelled() for task in (*waiting, late))
    assert gate.waiting == 0
