"""What must survive: short locks, stops, kills and cut connections; counted at the far end."""

import asyncio
import signal
import sys
from typing import Any

from azure.servicebus import ServiceBusMessage

from penstock_local_azure import ServiceBus
from penstock_servicebus import AsyncServiceBusHandler

WORKER = """
import asyncio, sys
from penstock_servicebus import AsyncServiceBusHandler

async def work(message: str) -> str:
    await asyncio.sleep(float(sys.argv[3]))
    return message.upper()

async def main() -> None:
    handler = AsyncServiceBusHandler(work, sys.argv[2], "out", connection_string=sys.argv[1], max_concurrency=5)
    print(await handler.run(drain=float(sys.argv[4])), flush=True)

asyncio.run(main())
"""


class QuotaAwayError(Exception):
    environment = True
    retry_after = 30.0


class CuttableProxy:
    """A TCP proxy in front of the broker, whose connections can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def start(self) -> "CuttableProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def cut(self) -> None:
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


async def start_worker(bus: ServiceBus, queue: str, work: float, drain: float) -> asyncio.subprocess.Process:
    arguments = [bus.connection_string, queue, str(work), str(drain)]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


def messages(count: int) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(f"body {index}", message_id=f"m-{index}") for index in range(count)]


async def test_locks_are_renewed_while_the_work_takes_longer_than_they_last(bus: ServiceBus, far_end: Any) -> None:
    started: list[str] = []

    async def slow(message: str) -> str:
        started.append(message)
        await asyncio.sleep(5.0)
        return message

    await far_end.send("short", *messages(3))
    handler = AsyncServiceBusHandler(slow, "short", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=3)

    assert sorted(started) == ["body 0", "body 1", "body 2"]
    assert statistics.completed == 3
    assert statistics.lock_lost == 0
    assert statistics.locks_renewed >= 9
    assert len(await far_end.read("out", 3)) == 3


async def test_a_lock_lost_to_a_blocked_loop_is_counted_and_no_result_is_doubled(bus: ServiceBus, far_end: Any) -> None:
    calls = 0

    async def block_once(message: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            bus_time_passes(seconds=2.5)
        return message

    def bus_time_passes(seconds: float) -> None:
        """Block the loop, and the broker in it, as a handler that computes does."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            pass

    await far_end.send("short", ServiceBusMessage("x", message_id="x"))
    handler = AsyncServiceBusHandler(block_once, "short", "out", connection_string=bus.connection_string)

    statistics = await handler.run(max_messages=2)

    assert (statistics.lock_lost, statistics.completed) == (1, 1)
    assert [result.message_id for result in await far_end.read("out", 1)] == ["x/0"]
    assert bus.stats()["out"]["suppressed"] == ["x/0"]


async def test_a_stop_finishes_work_and_gives_back_at_once_what_only_waits(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    release = asyncio.Event()

    async def work_or_wait(message: str) -> str:
        if message == "waits":
            raise QuotaAwayError
        await release.wait()
        return message

    await far_end.send("in", *(ServiceBusMessage(body, message_id=body) for body in ("works", "waits")))
    handler = AsyncServiceBusHandler(work_or_wait, "in", "out", connection_string=bus.connection_string)
    async with handler:
        await eventually(lambda: handler.statistics().waiting == 1 and handler.statistics().in_progress == 2)
        stopping = asyncio.create_task(handler.stop())
        await eventually(lambda: handler.statistics().released == 1)
        await eventually(lambda: bus.stats()["in"]["active"] == 1)  # released: nobody waits for the broker to say yes
        assert not stopping.done()
        release.set()
        await stopping

    (back,) = await far_end.read("in", 1)
    assert (back.message_id, back.delivery_count) == ("waits", 0)
    assert [result.message_id for result in await far_end.read("out", 1)] == ["works/0"]


async def test_after_the_drain_what_is_left_goes_back_uncounted(
    bus: ServiceBus, far_end: Any, eventually: Any, caplog: Any
) -> None:
    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    await far_end.send("in", *messages(2))
    handler = AsyncServiceBusHandler(hang, "in", "out", connection_string=bus.connection_string)
    async with handler:
        await eventually(lambda: handler.statistics().in_progress == 2)
        await handler.stop(drain=0.1)

    back = await far_end.read("in", 2)
    assert {(message.message_id, message.delivery_count) for message in back} == {("m-0", 0), ("m-1", 0)}
    assert handler.statistics().released == 2
    assert "giving 2 messages back" in caplog.text


async def test_sigterm_drains_and_ends_with_status_zero(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    await far_end.send("in", *messages(20))
    worker = await start_worker(bus, "in", work=0.3, drain=10.0)
    await eventually(lambda: bus.stats()["in"]["locked"] == 5)

    worker.send_signal(signal.SIGTERM)
    output, errors = await worker.communicate()

    stats = bus.stats()
    assert worker.returncode == 0, errors
    assert b"in_progress=0" in output
    assert stats["in"]["locked"] == 0
    assert stats["in"]["completed"] == stats["out"]["enqueued"]
    assert int(stats["in"]["completed"]) + int(stats["in"]["active"]) == 20


async def test_a_second_signal_ends_the_process_at_once(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    await far_end.send("in", *messages(1))
    worker = await start_worker(bus, "in", work=60.0, drain=60.0)
    await eventually(lambda: bus.stats()["in"]["locked"] == 1)

    worker.send_signal(signal.SIGTERM)
    while worker.returncode is None:
        await asyncio.sleep(0.2)
        worker.send_signal(signal.SIGTERM)
        await asyncio.wait([asyncio.create_task(worker.wait())], timeout=0.2)
    await worker.communicate()

    assert worker.returncode == -signal.SIGTERM


async def test_after_a_kill_another_handler_takes_over_and_nothing_is_lost_or_doubled(
    bus: ServiceBus, far_end: Any, eventually: Any
) -> None:
    total = 60
    await far_end.send("short", *messages(total))
    worker = await start_worker(bus, "short", work=0.05, drain=0.0)
    await eventually(lambda: int(bus.stats()["out"]["enqueued"]) >= 10)

    worker.kill()
    await worker.communicate()

    async def work(message: str) -> str:
        return message.upper()

    handler = AsyncServiceBusHandler(work, "short", "out", connection_string=bus.connection_string)
    async with handler:
        await eventually(lambda: bus.stats()["short"]["completed"] == total)

    found = await far_end.read("out", total)
    assert worker.returncode == -signal.SIGKILL
    assert {result.properties["penstock-origin-id"] for result in found} == {f"m-{index}" for index in range(total)}
    assert len(found) == total


async def test_cut_connections_lose_nothing_and_double_nothing(bus: ServiceBus, far_end: Any, eventually: Any) -> None:
    total = 80
    proxy = await CuttableProxy(bus.port).start()

    async def work(message: str) -> str:
        await asyncio.sleep(0.02)
        return message

    await far_end.send("short", *messages(total))
    through_proxy = bus.connection_string.replace(f":{bus.port}", f":{proxy.port}")
    handler = AsyncServiceBusHandler(work, "short", "out", connection_string=through_proxy)
    async with handler:
        for done in (5, 30, 55):
            await eventually(lambda done=done: int(bus.stats()["short"]["completed"]) >= done)
            proxy.cut()
        await eventually(lambda: bus.stats()["short"]["completed"] == total)
    await proxy.close()

    found = await far_end.read("out", total)
    assert proxy.cuts >= 3
    assert {result.message_id for result in found} == {f"m-{index}/0" for index in range(total)}
    assert len(found) == total
