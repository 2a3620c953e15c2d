"""A Blob stand-in with one container, and a client of its own to look at what arrived."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from penstock_local_azure import Blob

Holdings = Callable[[], Awaitable[dict[str, str]]]


@pytest.fixture
async def blob() -> AsyncIterator[Blob]:
    async with Blob(containers=["box"]) as standin:
        yield standin


@pytest.fixture
async def far_end(blob: Blob) -> AsyncIterator[ContainerClient]:
    """The container as somebody else sees it."""
    async with BlobServiceClient.from_connection_string(blob.connection_string) as service:
        yield service.get_container_client("box")


@pytest.fixture
def holdings(far_end: ContainerClient) -> Holdings:
    """What the container holds: the SHA-256 of each blob's bytes, as downloaded, by name."""

    async def look() -> dict[str, str]:
        found: dict[str, str] = {}
        async for name in far_end.list_blob_names():
            content = await (await far_end.download_blob(name)).readall()
            found[name] = hashlib.sha256(content).hexdigest()
        return found

    return look
