"""Where the queue keeps what it is to do: nowhere, or durably in a journal that is written in batches.

While one batch is written, in the thread that owns the file, the next one gathers: one sync for everything that came
in meanwhile, so that thirty producers cost little more than one.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from penstock_blob_uploader._errors import JournalError, UploaderClosedError
from penstock_blob_uploader._intents import Arrived, Change, Finished, Intent, PutOff, Queued
from penstock_blob_uploader._journal_file import JournalFile
from penstock_blob_uploader._order import Order

_logger = logging.getLogger(__name__)

RETRY_AFTER = 1.0
"""Seconds between two tries to write to a disk that refuses."""


class Keeper(Protocol):
    """Keeps what the queue is to do, under tickets."""

    lasting: bool
    """Whether what is kept outlives the process."""

    async def add(self, order: Order) -> int:
        """Keep an order; return its ticket."""

    def put_off(self, ticket: int, failures: int, delay: float) -> None:
        """Note that an attempt failed, and how many seconds the next one is off."""

    async def arrived(self, ticket: int) -> None:
        """Note that the blob is confirmed, before its file is deleted."""

    def finished(self, ticket: int) -> None:
        """Forget an order."""

    async def aclose(self) -> None:
        """Write what is left to be written, and let go."""


class NoJournal:
    """Keeps nothing: the queue lives as long as the process."""

    lasting = False

    async def add(self, order: Order) -> int:
        """Every order has the same ticket."""
        del order
        return 0

    def put_off(self, ticket: int, failures: int, delay: float) -> None:
        """Nothing to note."""

    async def arrived(self, ticket: int) -> None:
        """Nothing to note."""

    def finished(self, ticket: int) -> None:
        """Nothing to forget."""

    async def aclose(self) -> None:
        """Nothing to let go of."""


class _Batch:
    """Changes that become durable together, and the future that tells when."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Journal:
    """Keeps orders in a file that the next process goes on with.

    Args:
        path: The file.
        wall: Seconds since the epoch.
    """

    lasting = True

    def __init__(self, path: Path, *, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="upload-journal")
        self._next = _Batch()
        self._wanted = asyncio.Event()
        self._closing = False
        self._refused = False
        self._last_ticket = 0

    async def open(self, target: str) -> list[Intent]:
        """Lock the journal for uploads to ``target``, and return what it holds, in order.

        Raises:
            JournalError: It cannot be used; the message says why and what would help.
        """
        loop = asyncio.get_running_loop()
        try:
            self._file = await loop.run_in_executor(self._thread, JournalFile, self._path, target)
            try:
                intents = await loop.run_in_executor(self._thread, self._file.read)
            except JournalError:
                await loop.run_in_executor(self._thread, self._file.close)
                raise
        except JournalError:
            self._thread.shutdown()
            raise
        self._last_ticket = intents[-1].ticket if intents else 0
        self._writer = loop.create_task(self._write_batches(), name="upload journal")
        return intents

    async def add(self, order: Order) -> int:
        """Keep an order durably.

        Raises:
            JournalError: It cannot be written at the moment, and the order is not kept.
        """
        self._last_ticket += 1
        ticket = self._last_ticket
        try:
            await self._durable(Queued(ticket, order))
        except asyncio.CancelledError:
            self.finished(ticket)  # nobody will know of it
            raise
        return ticket

    def put_off(self, ticket: int, failures: int, delay: float) -> None:
        """Note a failed attempt."""
        self._note(PutOff(ticket, failures, self._wall() + delay))

    async def arrived(self, ticket: int) -> None:
        """Note durably that only the deletion is left to do, as soon as that can be written."""
        while True:
            try:
                return await self._durable(Arrived(ticket))
            except JournalError:
                await asyncio.sleep(RETRY_AFTER)

    def finished(self, ticket: int) -> None:
        """Forget an order."""
        self._note(Finished(ticket))

    async def aclose(self) -> None:
        """Write what is left, and let go of the file."""
        self._closing = True
        self._wanted.set()
        try:
            await self._writer
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
            self._thread.shutdown()

    async def _durable(self, change: Change) -> None:
        """Wait until a change is durable."""
        if self._writer.done():
            self._writer.result()  # a fault that nobody foresaw ended it: nothing can be promised any more
            raise UploaderClosedError(f"The journal {self._path} is closed: the uploader was shut down.")
        self._note(change)
        await asyncio.shield(self._next.durable)

    def _note(self, change: Change) -> None:
        """Put a change into the batch that is written next."""
        self._next.changes.append(change)
        self._wanted.set()

    async def _write_batches(self) -> None:
        """Write batch after batch, until the journal closes."""
        loop = asyncio.get_running_loop()
        while not self._closing or self._next.changes:
            await self._wanted.wait()
            self._wanted.clear()
            batch, self._next = self._next, _Batch()
            try:
                await loop.run_in_executor(self._thread, self._file.write, batch.changes)
            except JournalError as error:
                self._not_written(batch, error)
                batch.durable.set_exception(error)
                batch.durable.exception()  # perhaps nobody waits for it
            else:
                self._refused = False
                batch.durable.set_result(None)
            finally:
                batch.durable.cancel()  # whoever still waits was failed by a fault that nobody foresaw

    def _not_written(self, batch: _Batch, error: JournalError) -> None:
        """Try again later with all but the orders, whose callers are told; when closing, the next start makes up."""
        if not self._refused:
            _logger.error("Uploads are taken again when this is mended. %s", error)
        self._refused = True
        if not self._closing:
            self._next.changes[:0] = [change for change in batch.changes if not isinstance(change, Queued)]
            asyncio.get_running_loop().call_later(RETRY_AFTER, self._wanted.set)
