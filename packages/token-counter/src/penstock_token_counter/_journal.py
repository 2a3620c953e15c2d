"""The journal while the counter runs: what changed is written in batches, and whoever answers waits for its batch.

While one batch is written, in a thread, the next one gathers: one write and one sync for everything that was decided
meanwhile, however much that is. What fails to be written is written anew, from the ledgers, with everything else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ._journal_file import JournalFile
from ._paused import RETRY_AFTER, PausedError
from ._records import Entry, JournalError, Moment, batch_line, header_line
from ._replay import read_history, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock_token_client.accounting import Charge, Lesson, Pool

_LOG = logging.getLogger(__name__)

JOURNAL_STATES = ("none", "replaying", "writing", "paused")
_PAUSED = "the counter cannot write its journal, and promises nothing that it might forget"


class _Gathering:
    """Changes that become durable together, and the future that tells when."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Journal:
    """Owns a journal directory, and writes to it what ledgers tell it.

    Args:
        directory: Where it is; made if missing, and locked against other processes until `aclose`.
        smallest: Bytes below which the file is never rewritten to drop what has left the window.
        clock: The ledgers' clock: seconds that never go back, across processes until the machine restarts.
        wall: Seconds since the epoch.

    Attributes:
        paused: Whether nothing can be written at the moment, so that nothing may be granted.

    Raises:
        JournalError: The directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        *,
        smallest: int = 1 << 20,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.paused = False
        self._directory = directory
        self._file = JournalFile(directory)
        self._smallest = self._rewrite_at = smallest
        self._clock = clock
        self._wall = wall
        self._pools: dict[str, Pool] = {}
        self._lessons: dict[str, Lesson] = {}
        self._replayed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._closing = False
        self._next = _Gathering()
        self._writing: _Gathering | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="token-journal")
        self._writer: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the ledgers are what they were before the start."""
        return self._replayed.is_set()

    @property
    def state(self) -> str:
        """Which of `JOURNAL_STATES` it is in."""
        if not self.ready:
            return "replaying"
        return "paused" if self.paused else "writing"

    def recorder(self, pool: str) -> Callable[[Charge], None]:
        """Return what a pool's ledger tells its changes to."""

        def record(charge: Charge) -> None:
            self._next.entries.append(Entry(pool, charge))
            if not self.paused:
                self._wanted.set()

        return record

    async def open(self, pools: Mapping[str, Pool], *, assume_idle: bool = False) -> None:
        """Replay the journal onto new pools, by name, and start a new file that holds what is still in the window.

        Raises:
            JournalError: It cannot be read or written.
        """
        loop = asyncio.get_running_loop()
        history = await loop.run_in_executor(self._thread, lambda: read_history(self._file.read()))
        if history.damaged:
            _LOG.warning("the journal in %s is damaged: what it lacks is taken for a full window", self._directory)
        self._pools = dict(pools)
        restore(history, pools, self._now(), assume_idle=assume_idle)
        try:
            await self._rewrite()
        except OSError as error:
            raise JournalError(f"it cannot be written ({error.strerror})") from error
        self._writer = asyncio.create_task(self._write_batches())
        self._replayed.set()

    async def replayed(self) -> None:
        """Wait until the ledgers are what they were before the start."""
        await self._replayed.wait()

    def check(self) -> None:
        """See that something can be written.

        Raises:
            PausedError: It cannot.
        """
        if self._writer is not None and self._writer.done():
            self._writer.result()
        if self.paused:
            raise PausedError(_PAUSED)

    async def commit(self) -> None:
        """Wait until everything that was recorded so far is durable.

        Raises:
            PausedError: It cannot be written.
        """
        self.check()
        gathering = self._next if self._next.entries else self._writing
        if gathering is not None:
            await asyncio.shield(gathering.durable)

    async def aclose(self) -> None:
        """Write what is left, and let go of the directory."""
        self._closing = True
        self._wanted.set()
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()
        self._file.close()

    async def _write_batches(self) -> None:
        """Write batch after batch, until the journal closes."""
        while not self._closing or self._next.entries:
            await self._wanted.wait()
            self._wanted.clear()
            gathering, self._next = self._next, _Gathering()
            self._writing = gathering
            try:
                await self._write(gathering.entries)
            except OSError as error:
                self._pause(error)
                gathering.durable.set_exception(PausedError(_PAUSED))
                gathering.durable.exception()  # perhaps nobody waits for it
            else:
                self._resume()
                gathering.durable.set_result(None)
            finally:
                gathering.durable.cancel()  # whoever still waits was failed by a fault that nobody foresaw
            self._writing = None

    async def _write(self, entries: list[Entry]) -> None:
        """Make changes durable: add them, or write all that is known, which they are part of."""
        if self.paused or self._file.size > self._rewrite_at:
            await self._rewrite()
        elif entries:
            line = batch_line(self._now(), entries, self._learned())
            await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._file.append(line))

    async def _rewrite(self) -> None:
        """Replace the file by one that holds only what is still in the window."""
        moment = self._now()
        ledgers = {name: pool.ledger for name, pool in self._pools.items()}
        spans = {name: ledger.terms.span for name, ledger in ledgers.items()}
        entries = [Entry(name, charge) for name, ledger in ledgers.items() for charge in ledger.charges(moment.steady)]
        self._lessons = {}
        lessons = self._learned()
        await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._file.replace(header_line(spans) + batch_line(moment, entries, lessons))
        )
        self._rewrite_at = max(self._smallest, 2 * self._file.size)

    def _learned(self) -> dict[str, Lesson]:
        """Return what was learned since it was last written."""
        lessons = {name: pool.lesson() for name, pool in self._pools.items()}
        changed = {name: lesson for name, lesson in lessons.items() if self._lessons.get(name) != lesson}
        self._lessons |= changed
        return changed

    def _now(self) -> Moment:
        """Read both clocks."""
        return Moment(self._wall(), self._clock())

    def _pause(self, error: OSError) -> None:
        """Promise nothing more until a later try succeeds."""
        if not self.paused:
            _LOG.error(
                "nothing is granted: the journal in %s cannot be written (%s)", self._directory, error.strerror or error
            )
        self.paused = True
        asyncio.get_running_loop().call_later(RETRY_AFTER, self._wanted.set)

    def _resume(self) -> None:
        """Promise again."""
        if self.paused:
            _LOG.warning("the journal in %s can be written again: grants go on", self._directory)
        self.paused = False
        if self._next.entries:
            self._wanted.set()
