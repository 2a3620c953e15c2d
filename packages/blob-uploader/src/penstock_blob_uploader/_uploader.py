"""The uploader as its users see it: options, what is handed over, and its life."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from azure.storage.blob.aio import BlobServiceClient

from penstock_blob_uploader._client import SINGLE_PUT, refuse_token_in_the_clear
from penstock_blob_uploader._engine import Engine, Plan
from penstock_blob_uploader._errors import UploaderClosedError
from penstock_blob_uploader._handle import Upload
from penstock_blob_uploader._intake import Intake, check_overwrite
from penstock_blob_uploader._naming import NameTemplate
from penstock_blob_uploader._order import Overwrite
from penstock_blob_uploader._outcomes import Outcome
from penstock_blob_uploader._printable import printable
from penstock_blob_uploader._progress import Progress
from penstock_blob_uploader._put import Bounds
from penstock_blob_uploader._queue import Rules
from penstock_blob_uploader._retry import Backoff
from penstock_blob_uploader._settings import resolve_target
from penstock_blob_uploader._statistics import Statistics

if TYPE_CHECKING:
    from penstock_blob_uploader._client import Credential

_logger = logging.getLogger(__name__)

MIB = 1024**2


class AsyncBlobStorageUploader:
    """Brings files to a container of Azure Blob Storage: whole, under one name, in the background.

    Each file is sent at least once and is visible at most once: blobs are created and, unless you ask for it, never
    overwritten; a blob that is there already with the same length and SHA-256 counts as arrived. Memory is flat,
    whatever the files' sizes, and the event loop never waits for a disk. The queue lives as long as the process or,
    with a journal, outlives it.

    Args:
        account_url: Account name or URL, with or without a SAS token. None: ``AZURE_STORAGE_ACCOUNT``.
        container_name: None: ``AZURE_STORAGE_CONTAINER``.
        max_retries: Attempts after the first one, at least 0. A setup that somebody must mend (rights, container,
            address) uses up none: the queue waits and goes on by itself.
        retry_delay: Seconds before the first repetition; doubles up to 300, more if the service asks for more.
        connection_string: None: ``AZURE_STORAGE_CONNECTION_STRING``.
        credential: An asynchronous token credential, an account key or a SAS; you close it. An
            `azure.core.credentials.AzureNamedKeyCredential` (account and key) or `AzureSasCredential` may be given a
            new secret by its ``update`` at any time. None, and neither URL nor connection string hold a secret:
            `azure.identity.aio.DefaultAzureCredential`.
        client: A ready `azure.storage.blob.aio.BlobServiceClient` instead of all of these; you close it.
        create_container: Create the container if a write finds it missing. It is never asked for otherwise, so rights
            to write blobs are enough for one that exists.
        max_concurrency: Files in flight at once. 8 suits files of megabytes, 32 many small ones.
        max_bytes_in_flight: Bytes held in memory at once, at least 4 MiB.
        delete_after_upload: Delete each queued file once its blob is confirmed.
        name_template: Names files that get no ``blob_name``; the fields are those of the README: ``{app}``, ``{name}``,
            ``{stem}``, ``{suffix}``, ``{folder}``, ``{date}``, ``{year}``, ``{month}``, ``{day}``, ``{hour}``.
        overwrite: What becomes of another content under the name. ``"never"``: it stays, and the upload is a
            `Conflict`. ``"if-different"``: it gives way, if it is still what it was compared with. ``"always"``: it
            gives way without being looked at, for which the right to write is enough.
        gzip: Compress on the way: the blob gets ``Content-Encoding: gzip``, and its metadata state the hash and length
            of the file.
        progress: Called on the event loop with a `Progress` after each part that was sent. It must be quick; what it
            raises is logged by the loop's exception handler and harms no upload.
        journal: A file, made if missing, that keeps the queue: `upload_file` returns once the upload is durable there,
            and after a crash or a shutdown the next uploader with this journal goes on. One process at a time. Put it
            on a local disk, where file locks work.
        client_options: Passed on to the SDK's client: ``proxies``, ``connection_verify``, ``transport``, ...

    Raises:
        ValueError: A setting is missing, malformed or given twice; the message names argument and variable.
    """

    def __init__(
        self,
        account_url: str | None = None,
        container_name: str | None = None,
        max_retries: int = 16,
        retry_delay: float = 2.0,
        *,
        connection_string: str | None = None,
        credential: "Credential | None" = None,
        client: BlobServiceClient | None = None,
        create_container: bool = False,
        max_concurrency: int = 8,
        max_bytes_in_flight: int = 64 * MIB,
        delete_after_upload: bool = False,
        name_template: str = "{app}/{name}",
        overwrite: Overwrite = "never",
        gzip: bool = False,
        progress: Callable[[Progress], object] | None = None,
        journal: str | os.PathLike[str] | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        _require(max_retries >= 0, "max_retries must be 0 or more")
        _require(retry_delay > 0, "retry_delay must be more than 0 seconds")
        _require(max_concurrency >= 1, "max_concurrency must be 1 or more")
        _require(max_bytes_in_flight >= SINGLE_PUT, f"max_bytes_in_flight must be {SINGLE_PUT} (4 MiB) or more")
        _require(client is None or credential is None, "Both client and credential were given: leave credential out")
        check_overwrite(overwrite)
        target = resolve_target(
            account_url=account_url,
            connection_string=connection_string,
            container_name=container_name,
            has_client=client is not None,
            environment=os.environ,
        )
        refuse_token_in_the_clear(target, credential)
        self._intake = Intake(template=NameTemplate(name_template), overwrite=overwrite, gzip=gzip)
        self._delete = delete_after_upload
        self._plan = Plan(
            target=target,
            credential=credential,
            client=client,
            client_options=dict(client_options or {}),
            create_container=create_container,
            bounds=Bounds(files=max_concurrency, memory=max_bytes_in_flight),
            rules=Rules(max_running=max_concurrency, max_retries=max_retries, backoff=Backoff(first=retry_delay)),
            progress=progress,
            journal=None if journal is None else Path(journal).absolute(),
        )
        self._initializing = asyncio.Lock()
        self._engine: Engine | None = None

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shutdown()

    async def initialize(self) -> None:
        """Make the client and start the queue; again does nothing. Sends no request: storage may be down at the start.

        What a journal holds is queued again, in its order, with the attempts it has spent.

        Raises:
            ValueError: The SDK cannot use the settings.
            JournalError: The journal cannot be used; nothing was started.
        """
        async with self._initializing:
            if self._engine is None or not self._engine.is_open:
                self._engine = await Engine.started(self._plan)

    async def upload_file(
        self,
        path: str | os.PathLike[str],
        blob_name: str | None = None,
        app_name: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        overwrite: Overwrite | None = None,
        gzip: bool | None = None,
    ) -> Upload:
        """Queue a finished file; returns as soon as it is queued.

        Args:
            path: A regular file that nobody writes to any more. One that changes before it has arrived is not sent.
            blob_name: The name in the container. None: as ``name_template`` says, with what a blob name may not hold
                percent-encoded.
            app_name: Put before ``blob_name``, with a slash; the field ``{app}`` of the template.
            metadata: Labels of the blob, ASCII; its ``sha256`` and ``length`` are ours.
            content_type: Such as ``text/plain``. None: the service's default, ``application/octet-stream``.
            overwrite: None: as the uploader does.
            gzip: None: as the uploader does.

        Returns:
            A handle: ``outcome = await handle`` is `Created`, `Same` or `Replaced`, or raises an `UploadError`. A
            failure that nobody awaits is counted and logged once.

        Raises:
            SourceError: There is no such file, or it cannot be uploaded.
            InvalidBlobNameError: The name cannot be used.
            JournalError: The journal cannot be written at the moment, so the file is not queued.
            UploaderClosedError: Not initialized, or shut down.
        """
        engine = self._running()
        order = await self._intake.order(
            path,
            blob_name=blob_name,
            app_name=app_name,
            metadata=metadata,
            content_type=content_type,
            overwrite=overwrite,
            gzip=gzip,
            delete=self._delete,
        )
        return await engine.add(order)

    async def put(
        self,
        path: str | os.PathLike[str],
        blob_name: str,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        overwrite: Overwrite | None = None,
        gzip: bool | None = None,
    ) -> Outcome:
        """Bring one file to its place now: the primitive under `upload_file`, with no queue and no repetition of ours.

        It shares the bounds on files and bytes in flight with everything else and waits for room. The arguments are
        those of `upload_file`. The file is never deleted.

        Returns:
            `Created`; `Same` if an equal blob was there already; `Replaced` if another one was and should give way.

        Raises:
            Conflict: Another content stands under the name and is to stay.
            UploadError: Anything else; ``permanent``, ``environment`` and ``retry_after`` say what would help.
        """
        engine = self._running()
        order = await self._intake.order(
            path,
            blob_name=blob_name,
            app_name=None,
            metadata=metadata,
            content_type=content_type,
            overwrite=overwrite,
            gzip=gzip,
            delete=False,
        )
        return await engine.put(order)

    async def may_read(self) -> bool:
        """Say whether blobs may be looked at: where they may only be written, `put` cannot tell `Same` from `Conflict`.

        One request, for a blob that nobody has.

        Raises:
            UploadError: The service does not answer, or does not know who asks.
            UploaderClosedError: Not initialized, or shut down.
        """
        return await self._running().may_read()

    async def shutdown(self, drain: float | None = 25.0) -> list[Path]:
        """Take nothing more, work until the queue is empty or ``drain`` seconds are over, then end.

        Args:
            drain: Seconds; 0 ends at once; None waits as long as it takes, also for a setup that is to be mended.

        Returns:
            The files that have not arrived for certain. They are kept, and their handles raise `NotUploadedError`.
        """
        if self._engine is None or not self._engine.is_open:
            return []
        left = await self._engine.stop(drain)
        if left:
            _logger.warning(
                "Shut down with %d files not uploaded, the first is %s.", len(left), printable(str(left[0]))
            )
        return left

    def statistics(self) -> Statistics:
        """Return what the queue has done since `initialize`, and is doing."""
        return self._engine.statistics() if self._engine else Statistics()

    def _running(self) -> Engine:
        """Return the engine if it takes uploads."""
        if self._engine is None or not self._engine.is_open:
            raise UploaderClosedError(
                "The uploader is not running: use 'async with', or call initialize() before and no shutdown()."
            )
        return self._engine


def _require(holds: bool, rule: str) -> None:  # noqa: FBT001 - a check reads best with its condition first
    """Refuse an option outside its range."""
    if not holds:
        raise ValueError(f"{rule}.")
