"""A container of Blob Storage as archive, through penstock-blob-uploader, which the extra ``[azure]`` brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_logging_monitor._errors import LogMonitorError, NameTakenError
from penstock_logging_monitor._names import content_name
from penstock_logging_monitor._target import Arrival

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
    from azure.core.credentials_async import AsyncTokenCredential

    from penstock_blob_uploader import AsyncBlobStorageUploader

    Credential = AsyncTokenCredential | AzureNamedKeyCredential | AzureSasCredential


class BlobTarget:
    """Stores files as block blobs, create-only. The container is made if it is missing: it is the monitor's own.

    Whether blobs may be looked at is asked once. Where they may only be written, a name that is taken says nothing of
    what has it; so there, names also hold the hash of what was logged, and a taken one is a file that has arrived.
    Elsewhere that hash in the metadata tells the same, also when another release of zlib has packed the log.

    Args:
        account_url: Name or URL of the account; None: ``AZURE_STORAGE_ACCOUNT``.
        container_name: The container; a ready-made one needs only the right to write.
        connection_string: None: ``AZURE_STORAGE_CONNECTION_STRING``.
        credential: Who we are, unless one of these says so; it stays the caller's to close.

    Raises:
        LogMonitorError: The extra is not installed.
        ValueError: The account or the container is none.
    """

    def __init__(
        self,
        account_url: str | None,
        container_name: str,
        *,
        connection_string: str | None = None,
        credential: Credential | None = None,
    ) -> None:
        self._container_name = container_name
        self._uploader = _uploader_class()(
            account_url,
            container_name,
            connection_string=connection_string,
            credential=credential,
            create_container=True,
        )
        self._may_read: bool | None = None

    async def open(self) -> None:
        """Start the uploader."""
        await self._uploader.initialize()

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
        """Upload a file, unless it is there already.

        Raises:
            NameTakenError: Other content has this name.
            penstock_blob_uploader.UploadError: It did not arrive for certain.
        """
        from penstock_blob_uploader import Conflict, Same  # noqa: PLC0415  # an extra's, imported on use

        if self._may_read is None:
            self._may_read = await self._uploader.may_read()
        place = name if self._may_read else content_name(name, metadata["raw_sha256"])
        try:
            outcome = await self._uploader.put(path, place, metadata=metadata)
        except Conflict as conflict:
            unseen = conflict.length is None
            if (unseen and not self._may_read) or conflict.metadata.get("raw_sha256") == metadata["raw_sha256"]:
                return Arrival.SAME
            raise NameTakenError(name, compared=not unseen) from conflict
        return Arrival.SAME if isinstance(outcome, Same) else Arrival.CREATED

    async def check(self) -> str:
        """Ask whether blobs may be looked at; return what was found.

        Raises:
            penstock_blob_uploader.UploadError: The service does not answer, or does not know who asks.
        """
        if await self._uploader.may_read():
            return "the account answers, and blobs may be looked at"
        return "the account answers; blobs may not be looked at, so that names will hold the content's hash"

    async def close(self) -> None:
        """End the uploader, and with it the connections it made."""
        await self._uploader.shutdown()

    def __str__(self) -> str:
        return f"container {self._container_name}"


def _uploader_class() -> type[AsyncBlobStorageUploader]:
    try:
        from penstock_blob_uploader import AsyncBlobStorageUploader  # noqa: PLC0415  # an extra's, imported on use
    except ModuleNotFoundError as error:
        raise LogMonitorError(
            "shipping to Blob Storage needs the extra: pip install 'penstock-logging-monitor[azure]'", permanent=True
        ) from error
    return AsyncBlobStorageUploader
