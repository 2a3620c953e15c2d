"""Messages a second of the handler, against the best loop by hand on the same SDK, and what an idle handler costs.

Broker, handler and loop are processes of their own in the same environment, new ones for each measurement, in turn,
several rounds; a ratio is taken within a round, because what else the machine does changes. A rate is the broker's
account from one tenth of the messages completed to all of them. Each round checks at the far ends that nothing is left
or lost, and that the results are those of the messages sent, each once.

    uv run python packages/servicebus/bench/messages.py [--quick] [--json]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

HERE = Path(__file__).parent
BODY = "x" * 1024
IDEAL = 200.0  # messages/s: 10 slots, 50 ms each
OF_BY_HAND, OF_IDEAL, IDLE_COST = 0.8, 0.9, 2.0

NONE, NONE_BY_HAND = "without results", "without results, best loop by hand"
RESULTS, RESULTS_BY_HAND = "with results", "with results, best loop by hand"
WORK, WORK_BY_HAND = "50 ms of work, 10 slots", "50 ms of work, 10 slots, loop by hand"
FRESH = "without results, a fresh client for each"
IDLE, PICK_UP = "CPU of an idle handler", "pick-up by an idle handler"

RATES = {
    NONE: ("messages_handler.py", "none"),
    NONE_BY_HAND: ("messages_loop.py", "none"),
    RESULTS: ("messages_handler.py", "results"),
    RESULTS_BY_HAND: ("messages_loop.py", "results"),
    WORK: ("messages_handler.py", "work"),
    WORK_BY_HAND: ("messages_loop.py", "work"),
    FRESH: ("messages_loop.py", "fresh"),
}
UNITS = {IDLE: "% of a core", PICK_UP: "ms"}

Found = dict[str, list[float]]
"""What each row measured, by round."""


@dataclass(frozen=True)
class Length:
    """How long everything takes."""

    rounds: int
    messages: int
    work: int
    fresh: int
    idle_seconds: float
    pick_ups: int

    def count(self, row: str) -> int:
        """Return how many messages a row's rate is taken over."""
        return {WORK: self.work, WORK_BY_HAND: self.work, FRESH: self.fresh}.get(row, self.messages)


QUICK = Length(rounds=1, messages=1000, work=200, fresh=2, idle_seconds=3.0, pick_ups=8)
FULL = Length(rounds=5, messages=3000, work=600, fresh=4, idle_seconds=10.0, pick_ups=20)


class Program:
    """A script of this folder as a process, until the block ends."""

    def __init__(self, script: str, *arguments: str, bus: str = "") -> None:
        command = (sys.executable, str(HERE / script), *arguments)
        environment = {**os.environ, "SERVICE_BUS_CONNECTION_STRING": bus}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def ask(self, **question: object) -> None:
        """Write a line that it reads."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()

    def read(self) -> str:
        """Wait for the next line that it prints."""
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended before its time")
        return line.strip()

    def cpu_seconds(self) -> float:
        """Return the user and system time that it has used, by the operating system's account."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


async def send(bus: str, ids: list[str]) -> None:
    """Put messages with these ids on the in-queue."""
    async with ServiceBusClient.from_connection_string(bus) as client, client.get_queue_sender("in") as sender:
        for start in range(0, len(ids), 100):
            await sender.send_messages([ServiceBusMessage(BODY, message_id=one) for one in ids[start : start + 100]])


async def read(bus: str, count: int) -> list[ServiceBusMessage]:
    """Take `count` results from the out-queue, and whatever comes with them."""
    found: list[Any] = []
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with (
        ServiceBusClient.from_connection_string(bus) as client,
        client.get_queue_receiver("out", receive_mode=mode, socket_timeout=0.02) as receiver,
    ):
        while more := await receiver.receive_messages(500, max_wait_time=0.3 if len(found) >= count else 5.0):
            found += more
    return found


async def measure_rate(row: str, count: int) -> float:
    """Return how many messages a second a row's program completes."""
    ids = [f"m-{index}" for index in range(count)]
    script, kind = RATES[row]
    with Program("messages_broker.py") as broker:
        bus = broker.read()
        await send(bus, ids)
        with Program(script, kind, bus=bus):
            first = max(count // 10, 1)
            broker.ask(**{"from": first, "to": count})
            account = json.loads(await asyncio.to_thread(broker.read))
        if kind == "results":
            results = Counter(str(message.message_id) for message in await read(bus, count))
            if results != Counter(f"{one}/0" for one in ids):
                raise RuntimeError(f"{row}: {results.total()} results, {len(results)} different, of {count} messages")
    if account["completed"] != count or any(account["left"].values()):
        raise RuntimeError(f"{row}: not every message was handled once: {account}")
    return (count - first) / float(account["seconds"])


async def measure_idle(length: Length) -> tuple[float, float]:
    """Return what an idle handler takes of a core, in %, and its median pick-up of a message, in ms."""
    with Program("messages_broker.py") as broker:
        bus = broker.read()
        with Program("messages_handler.py", "idle", bus=bus) as handler:
            handler.read()
            await asyncio.sleep(2)  # until it calls itself idle
            began, before = time.monotonic(), handler.cpu_seconds()
            await asyncio.sleep(length.idle_seconds)
            cost = (handler.cpu_seconds() - before) / (time.monotonic() - began)
            await send_one_by_one(bus, length.pick_ups)
            results = await read(bus, length.pick_ups)
    if len(results) != length.pick_ups:
        raise RuntimeError(f"{len(results)} of {length.pick_ups} messages were picked up")
    return 100 * cost, 1000 * statistics.median(float(b"".join(message.body)) for message in results)


async def send_one_by_one(bus: str, count: int) -> None:
    """Send messages that say when they were sent, with pauses of other lengths than the handler's."""
    async with ServiceBusClient.from_connection_string(bus) as client, client.get_queue_sender("in") as sender:
        for index in range(count):
            await asyncio.sleep(0.1 + 0.037 * (index % 5))
            await sender.send_messages(ServiceBusMessage(str(time.monotonic())))


async def measure_rounds(length: Length) -> Found:
    """Measure everything in turn, several rounds."""
    found: Found = {row: [] for row in (*RATES, IDLE, PICK_UP)}
    for _ in range(length.rounds):
        for row in RATES:
            found[row].append(await measure_rate(row, length.count(row)))
        cost, pick_up = await measure_idle(length)
        found[IDLE].append(cost)
        found[PICK_UP].append(pick_up)
    return found


def lines_of(found: Mapping[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, values in found.items():
        spread = [round(min(values), 2), round(max(values), 2)]
        yield {
            "row": row,
            "value": round(statistics.median(values), 2),
            "unit": UNITS.get(row, "messages/s"),
            "spread": spread,
        }
    for ours, by_hand in ((NONE, NONE_BY_HAND), (RESULTS, RESULTS_BY_HAND)):
        ratio = statistics.median(mine / theirs for mine, theirs in zip(found[ours], found[by_hand], strict=True))
        text = f"messages/s {ours}, at least {OF_BY_HAND:g} x the best loop by hand"
        yield {"claim": text, "value": round(ratio, 2), "goal": OF_BY_HAND, "met": ratio >= OF_BY_HAND}
    part = statistics.median(found[WORK]) / IDEAL
    text = f"50 ms of work in 10 slots, at least {OF_IDEAL:g} of {IDEAL:g} messages/s"
    yield {"claim": text, "value": round(part, 2), "goal": OF_IDEAL, "met": part >= OF_IDEAL}
    cost = statistics.median(found[IDLE])
    text = f"CPU of an idle handler, at most {IDLE_COST:g} % of a core"
    yield {"claim": text, "value": round(cost, 2), "goal": IDLE_COST, "met": cost <= IDLE_COST}


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        low, high = row["spread"]
        print(f"{row['row']:{width}}  {row['value']:>9,.2f}  {row['unit']:11}  ({low:,.2f} to {high:,.2f})")
    for line in (line for line in lines if "claim" in line):
        print(f"{line['claim']}: {line['value']:.2f}, {'met' if line['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    lines = list(lines_of(asyncio.run(measure_rounds(QUICK if options.quick else FULL))))
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
