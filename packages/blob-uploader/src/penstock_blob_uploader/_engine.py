"""What runs between `initialize` and `shutdown`: client, journal and queue, made together and closed together."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from azure.storage.blob.aio import BlobServiceClient

from penstock_blob_uploader._client import open_client, renew_key
from penstock_blob_uploader._errors import UploaderClosedError
from penstock_blob_uploader._handle import Upload
from penstock_blob_uploader._intents import Intent
from penstock_blob_uploader._journal import Journal, Keeper, NoJournal
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._outcomes import Outcome
from penstock_blob_uploader._progress import Progress
from penstock_blob_uploader._put import Bounds, Putter
from penstock_blob_uploader._queue import Rules, UploadQueue
from penstock_blob_uploader._settings import Target
from penstock_blob_uploader._statistics import Statistics

if TYPE_CHECKING:
    from penstock_blob_uploader._client import Credential

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an engine is made of."""

    target: Target
    credential: "Credential | None" = field(repr=False)
    client: BlobServiceClient | None
    client_options: Mapping[str, Any] = field(repr=False)
    create_container: bool
    bounds: Bounds
    rules: Rules
    progress: Callable[[Progress], object] | None
    journal: Path | None


class Engine:
    """Runs until it is stopped. Made by `started`."""

    def __init__(self, putter: Putter, queue: UploadQueue, keeper: Keeper, resources: AsyncExitStack) -> None:
        self._putter = putter
        self._queue = queue
        self._keeper = keeper
        self._resources = resources
        self._stopped = False
        self._adds = 0
        self._all_added = asyncio.Event()
        self._all_added.set()

    @classmethod
    async def started(cls, plan: Plan) -> Self:
        """Make everything, and go on with what the journal holds. If anything fails, nothing is left open.

        Raises:
            ValueError: The SDK cannot use the settings.
            JournalError: The journal cannot be used.
        """
        async with AsyncExitStack() as resources:
            client = plan.client or await open_client(
                plan.target, credential=plan.credential, options=plan.client_options, resources=resources
            )
            container = client.get_container_client(plan.target.container)
            putter = Putter(
                container,
                create_container=plan.create_container,
                bounds=plan.bounds,
                progress=plan.progress,
                renew_key=partial(renew_key, client, plan.credential),
            )
            resources.callback(putter.close)
            keeper, intents = await _open_keeper(plan.journal, container.url, resources)
            queue = UploadQueue(putter.put, plan.rules, keeper)
            await queue.resume(intents, time.time())
            return cls(putter, queue, keeper, resources.pop_all())

    @property
    def is_open(self) -> bool:
        """Whether it takes uploads."""
        return not self._stopped

    async def add(self, order: Order) -> Upload:
        """Queue an upload, durably if there is a journal.

        Raises:
            JournalError: The journal cannot be written at the moment.
            UploaderClosedError: It was stopped meanwhile.
        """
        if self._stopped:
            raise _stopped(order)
        with self._adding():
            ticket = await self._keeper.add(order)
            if self._stopped:
                self._keeper.finished(ticket)
                raise _stopped(order)
            return self._queue.add(order, ticket)

    async def put(self, order: Order) -> Outcome:
        """Carry out an order now.

        Raises:
            UploadError: It did not arrive.
        """
        if self._stopped:
            raise _stopped(order)
        return await self._putter.put(order)

    async def may_read(self) -> bool:
        """Say whether blobs may be looked at.

        Raises:
            UploadError: The service does not answer, or does not know who asks.
        """
        return await self._putter.may_read()

    async def stop(self, drain: float | None) -> list[Path]:
        """Take nothing more, work for up to ``drain`` seconds, close everything; return the files that are left."""
        self._stopped = True
        try:
            return await self._queue.stop(drain)
        finally:
            await self._all_added.wait()  # what is refused now must not stay in the journal
            await self._resources.aclose()

    @contextmanager
    def _adding(self) -> Iterator[None]:
        """Note that an order is being written down."""
        self._adds += 1
        self._all_added.clear()
        try:
            yield
        finally:
            self._adds -= 1
            if not self._adds:
                self._all_added.set()

    def statistics(self) -> Statistics:
        """Count."""
        return self._queue.statistics()


def _stopped(order: Order) -> UploaderClosedError:
    return UploaderClosedError(f"{order.doing}: the uploader was shut down meanwhile.")


async def _open_keeper(path: Path | None, url: str, resources: AsyncExitStack) -> tuple[Keeper, list[Intent]]:
    """Open the journal, if there is to be one, and return it with what it holds."""
    if path is None:
        return NoJournal(), []
    journal = Journal(path)
    intents = await journal.open(url.partition("?")[0])  # without the SAS
    resources.push_async_callback(journal.aclose)
    if intents:
        _logger.info("The journal %s holds %d uploads: they go on.", path, len(intents))
    return journal, intents
