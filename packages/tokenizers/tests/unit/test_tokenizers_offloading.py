"""Counting a long prompt costs the event loop no more than counting an empty one."""

import statistics
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from penstock_tokenizers import count_messages, count_off_loop, count_text, encoding_for

ENCODING = encoding_for("gpt-4o")
LONG = "The delivery was late, and nobody answered the phone when I called. " * 1_500
ROUNDS = 25


async def cost(of: Callable[[], Awaitable[int]]) -> float:
    """Return the median CPU time of the event loop's thread: what other processes do is not in it."""
    costs = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        await of()
        costs.append(time.thread_time() - began)
    return statistics.median(costs)


def prompt(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def test_a_prompt_of_100_kb_costs_the_loop_no_more_than_an_empty_one() -> None:
    assert len(LONG) > 100_000

    async def counted(text: str) -> int:
        return await count_off_loop(len(text), count_messages, ENCODING, prompt(text))

    async def inline() -> int:
        return count_messages(ENCODING, prompt(LONG))

    empty = await cost(lambda: counted(""))
    noise = await cost(lambda: counted("x" * 20_001)) - empty  # what handing anything to a thread costs
    long = await cost(lambda: counted(LONG))
    held_up = await cost(inline)
    assert long <= empty + max(noise, 0.0) + 0.001
    assert held_up > empty + max(noise, 0.0) + 0.001, "counted inline it would be found out"


@pytest.mark.parametrize(("size", "inline"), [(0, True), (20_000, True), (20_001, False)])
async def test_the_size_decides_where_to_count(size: int, inline: bool) -> None:  # noqa: FBT001  a parameter
    threads: list[int] = []

    def count(text: str) -> int:
        threads.append(threading.get_ident())
        return count_text(ENCODING, text)

    assert await count_off_loop(size, count, "hello world") == 2
    assert (threads == [threading.get_ident()]) is inline
