"""Workers as processes, which are started again when they end as a supervisor would, and the judge of what they did."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from penstock_local_azure import ServiceBus

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
nightly = pytest.mark.skipif(not FULL, reason="that planted faults are found is tested at full length")

SCRIPT = Path(__file__).with_name("surviving_worker.py")


class Fleet:
    """Some workers on one Service Bus; what they write lies in a directory.

    Args:
        bus: Where they work.
        directory: For a log of each.
        size: How many.
        settings: What `surviving_worker.py` takes.
    """

    def __init__(self, bus: ServiceBus, directory: Path, size: int, **settings: Any) -> None:
        self._bus = bus
        self._directory = directory
        self._size = size
        self._settings = json.dumps({"bus": bus.connection_string, **settings})
        self._processes: dict[int, Process] = {}
        self.started = 0
        self._is_stopping = False
        self.kills = 0

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Self]:
        """Work from here on, and be gone at the end."""
        keepers = [asyncio.ensure_future(self._keep(place)) for place in range(self._size)]
        try:
            yield self
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)

    def kill_one(self, chance: Random) -> None:
        """Kill one of them with SIGKILL."""
        victim = self._processes[chance.choice(sorted(self._processes))]
        with contextlib.suppress(ProcessLookupError):
            victim.kill()
            self.kills += 1

    def signal_all(self, number: signal.Signals = signal.SIGTERM) -> list[Process]:
        """Send all of them a signal, after which none is started again."""
        self._is_stopping = True
        processes = list(self._processes.values())
        for process in processes:
            process.send_signal(number)
        return processes

    async def stop(self, within: float = 60.0) -> list[int | None]:
        """Ask all of them to stop, and return how they ended."""
        processes = self.signal_all()
        async with asyncio.timeout(within):
            return [await process.wait() for process in processes]

    def written(self) -> str:
        """Return all that they wrote."""
        return "".join(path.read_text() for path in sorted(self._directory.glob("worker-*")))

    def reports(self) -> list[dict[str, Any]]:
        """Return what those counted that ended in good order."""
        return self._told("received")

    async def stock(self) -> dict[str, Any]:
        """Ask the only worker which tasks it has and how many objects."""
        (process,) = self._processes.values()
        before = len(told := self._told("tasks"))
        process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(20.0):
            while len(told := self._told("tasks")) == before:
                await asyncio.sleep(0.02)
        return told[-1]

    async def memory(self) -> float:
        """Return the resident memory of the only worker in MiB, once it has collected its garbage."""
        await self.stock()
        (process,) = self._processes.values()
        arguments = ("ps", "-o", "rss=", "-p", str(process.pid))
        ps = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        output, _ = await ps.communicate()
        return int(output) / 1024

    def _told(self, key: str) -> list[dict[str, Any]]:
        """Return what the workers have written about something, line by line."""
        texts = (path.read_text() for path in sorted(self._directory.glob("worker-*.out")))
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
        return [line for line in lines if key in line]

    async def _keep(self, place: int) -> None:
        """Keep one worker at work."""
        while not self._is_stopping:
            process = await self._start()
            self._processes[place] = process
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    async def _start(self) -> Process:
        self.started += 1
        stem = self._directory / f"worker-{self.started:03}"
        with stem.with_suffix(".out").open("wb") as output, stem.with_suffix(".err").open("wb") as errors:
            return await asyncio.create_subprocess_exec(
                sys.executable, str(SCRIPT), self._settings, stdout=output, stderr=errors
            )


@dataclass(frozen=True)
class Expected:
    """What must become of one message: answered at an attempt, or set aside at one for a reason."""

    attempt: int = 0
    reason: str | None = None


@dataclass
class Judgement:
    """Everything that is wrong, by origin ids; nothing is, if all are empty."""

    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    unexplained: dict[str, str] = field(default_factory=dict)
    miscounted: dict[str, int] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    @property
    def is_clean(self) -> bool:
        return self == Judgement()


async def send(bus: ServiceBus, messages: list[ServiceBusMessage]) -> None:
    """Put messages on the in-queue, or in-topic."""
    async with _client(bus) as client, client.get_queue_sender("in") as sender:
        for start in range(0, len(messages), 500):
            await sender.send_messages(messages[start : start + 500])


async def judge(bus: ServiceBus, expected: dict[str, Expected], source: str = "in") -> Judgement:
    """Read what is in the queues, by the SDK alone, and compare it with what must be there."""
    bus.faults.clear()
    results, dead, left = await asyncio.gather(drain(bus, "out"), drain(bus, source, dead=True), drain(bus, source))
    found = Counter(map(origin_of, (*results, *dead)))
    judgement = Judgement(
        lost=set(expected) - set(found),
        doubled={origin for origin, times in found.items() if times > 1},
        left=set(map(origin_of, left)),
    )
    for message in (*results, *dead):
        origin, reason = origin_of(message), message.dead_letter_reason
        wanted = expected.get(origin, Expected(reason="never sent"))
        if reason != wanted.reason:
            judgement.unexplained[origin] = f"{reason}, not {wanted.reason}"
        elif attempt_of(message) != wanted.attempt:
            judgement.miscounted[origin] = attempt_of(message)
    return judgement


async def drain(bus: ServiceBus, queue: str, *, dead: bool = False) -> list[ServiceBusReceivedMessage]:
    """Take out all that is in a queue, which nobody else works on any more."""
    total = int(str(bus.stats()[queue]["dead_lettered" if dead else "active"]))
    sub_queue = ServiceBusSubQueue.DEAD_LETTER if dead else None
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    found: list[ServiceBusReceivedMessage] = []
    async with (
        asyncio.timeout(120.0),
        _client(bus) as client,
        client.get_queue_receiver(queue, sub_queue=sub_queue, receive_mode=mode, socket_timeout=0.02) as receiver,
    ):
        while len(found) < total:
            found += await receiver.receive_messages(max_message_count=500, max_wait_time=1.0)
    return found


def origin_of(message: ServiceBusReceivedMessage) -> str:
    return str(_property(message, "penstock-origin-id", message.message_id))


def attempt_of(message: ServiceBusReceivedMessage) -> int:
    return int(_property(message, "penstock-attempt", 0))


async def until(condition: Callable[[], object], within: float = 120.0) -> None:
    """Wait for a condition, and fail if it does not come true."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.02)


def has_results(bus: ServiceBus, enough: float) -> bool:
    """Whether so many results have been accepted."""
    return int(str(bus.stats()["out"]["enqueued"])) >= enough


def is_worked_off(bus: ServiceBus, source: str = "in") -> bool:
    """Whether a queue or subscription is empty: nothing is in line, locked or scheduled."""
    counts = bus.stats()[source]
    return not (counts["active"] or counts["locked"] or counts["scheduled"])


def _property(message: ServiceBusReceivedMessage, name: str, default: Any) -> Any:
    value = (message.application_properties or {}).get(name.encode(), default)
    return value.decode() if isinstance(value, bytes) else value


def _client(bus: ServiceBus) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(bus.connection_string)
