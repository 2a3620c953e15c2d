"""How many messages are asked for at once, and what waiting on an idle queue costs."""

import asyncio
import math
import time
from typing import Any, cast

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import ServiceBus
from penstock_servicebus._intake import Intake
from penstock_servicebus._pace import Pace
from penstock_servicebus._reception import Reception


class Supply:
    """A receiver whose queue has so many messages."""

    def __init__(self, count: int) -> None:
        self.asked: list[int] = []
        self._left = count

    async def receive_messages(self, count: int, max_wait_time: float) -> list[object]:
        assert max_wait_time > 0
        self.asked.append(count)
        came = min(count, self._left)
        self._left -= came
        return [object()] * came


def reception(longest: float = 0.01) -> Reception:
    return Reception(Intake(time.monotonic, None, None), Pace(longest))


async def asked_of(supply: Supply, *, free: int, calls: int) -> list[int]:
    ours = reception()
    for _ in range(calls):
        await ours.receive(cast("Any", supply), free, busy=True, until=math.inf)
    return supply.asked


async def test_a_full_queue_is_asked_for_twice_as_many_each_time_up_to_what_there_is_room_for() -> None:
    assert await asked_of(Supply(10_000), free=20, calls=7) == [1, 2, 4, 8, 16, 20, 20]
    assert max(await asked_of(Supply(10_000), free=500, calls=12)) == 64


async def test_what_did_not_all_come_is_not_asked_for_again() -> None:
    assert await asked_of(Supply(1 + 2 + 4 + 6), free=20, calls=6) == [1, 2, 4, 8, 3, 1]


async def test_a_trickle_is_asked_for_one_by_one_again() -> None:
    assert await asked_of(Supply(3), free=20, calls=5) == [1, 2, 4, 1, 1]


async def test_an_idle_queue_is_listened_to_in_long_turns_and_a_message_ends_one_at_once(
    bus: ServiceBus, far_end: Any
) -> None:
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("in", socket_timeout=0.02) as receiver,
    ):
        link: Any = receiver._handler
        before = link._socket_timeout, link._keep_alive_interval
        turns = 0
        work = link.do_work_async

        async def counted() -> object:
            nonlocal turns
            turns += 1
            return await work()

        link.do_work_async = counted
        ours = reception(longest=30.0)
        ours._pace.seconds = 30.0
        waiting = asyncio.ensure_future(ours.receive(receiver, 1, busy=False, until=math.inf))
        await asyncio.sleep(1.0)
        turns_while_idle = turns
        await far_end.send("in", ServiceBusMessage("x", message_id="m"))
        async with asyncio.timeout(10):
            (message,) = await waiting

    assert message.message_id == "m"
    assert turns_while_idle <= 5  # and not one for each 0.02 s in which nothing comes
    assert (link._socket_timeout, link._keep_alive_interval) == before
