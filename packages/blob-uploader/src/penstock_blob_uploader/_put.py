"""The primitive: one file into one blob, within the bounds that all uploads of a process share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob.aio import ContainerClient

from penstock_blob_uploader._client import SINGLE_PUT
from penstock_blob_uploader._errors import ContainerMissingError
from penstock_blob_uploader._gate import Gate
from penstock_blob_uploader._mapping import code_of, service_errors
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._outcomes import Outcome
from penstock_blob_uploader._progress import Meter, Progress
from penstock_blob_uploader._reading_threads import ReadingThreads
from penstock_blob_uploader._sending import send

_BLOCKS_AT_ONCE = 4
_NOBODYS_BLOB = "penstock-asks-whether-it-may-read"

_PATIENCE = 180.0
"""Seconds any upload may take, the SDK's own retries included."""
_SLOWEST_RATE = 64 * 1024
"""Bytes a second below which a larger upload counts as stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may be in flight at once."""

    files: int
    memory: int
    """Bytes."""


class Putter:
    """Carries out orders. Files and bytes in flight are bounded over all of them together.

    Args:
        container: Where to.
        create_container: Whether it is to be made if it is missing.
        bounds: How much may be in flight.
        progress: Is told how far each attempt has come.
        renew_key: Is called before each attempt.
    """

    def __init__(
        self,
        container: ContainerClient,
        *,
        create_container: bool,
        bounds: Bounds,
        progress: Callable[[Progress], object] | None,
        renew_key: Callable[[], None],
    ) -> None:
        self._container = container
        self._renew_key = renew_key
        self._create_container = create_container
        self._progress = progress
        self._threads = ReadingThreads()
        self._files = Gate(bounds.files)
        self._memory = Gate(bounds.memory)
        self._blocks_at_once = max(1, min(_BLOCKS_AT_ONCE, bounds.memory // SINGLE_PUT))

    async def put(self, order: Order) -> Outcome:
        """Bring one file to its place, asking no more often than the SDK itself does.

        Raises:
            UploadError: Which kind says what would help.
        """
        async with self._files.hold(1), self._memory.hold(self._memory_of(order)):
            self._renew_key()
            try:
                return await self._send(order)
            except ContainerMissingError:
                if not self._create_container:
                    raise
            await self._make_container()
            return await self._send(order)

    async def may_read(self) -> bool:
        """Ask for a blob that nobody has, and so find out whether one could be looked at.

        Raises:
            UploadError: The service does not answer, or does not know who asks.
        """
        self._renew_key()
        with service_errors(f"Asking the container {self._container.container_name} for a blob"):
            try:
                await self._container.get_blob_client(_NOBODYS_BLOB).get_blob_properties()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.FORBIDDEN and code_of(error) != "AuthenticationFailed":
                    return False
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
        return True

    def close(self) -> None:
        """Let go of the threads that read."""
        self._threads.close()

    def _memory_of(self, order: Order) -> int:
        """Return the bytes that carrying out an order holds in memory at most."""
        compressing = min(order.size, 2 * SINGLE_PUT) if order.gzip else 0
        return min(order.size, SINGLE_PUT * self._blocks_at_once) + compressing

    async def _send(self, order: Order) -> Outcome:
        """Make one attempt, of bounded length."""
        blob = self._container.get_blob_client(order.blob_name)
        with service_errors(order.doing):
            async with asyncio.timeout(_PATIENCE + order.size / _SLOWEST_RATE):
                meter = Meter(order, self._progress)
                return await send(blob, order, meter, self._threads, blocks_at_once=self._blocks_at_once)

    async def _make_container(self) -> None:
        """Create the container; that somebody else was faster is fine, any other refusal is not."""
        with service_errors(f"Creating the container {self._container.container_name}"):
            try:
                await self._container.create_container()
            except ResourceExistsError as error:
                if code_of(error) != "ContainerAlreadyExists":
                    raise
