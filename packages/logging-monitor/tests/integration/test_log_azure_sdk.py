"""What Azure's SDK logs is in the file, and what it tells of its credentials is not."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from penstock_local_azure import Blob
from penstock_logging_monitor import configure_logging

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_network_trace_tells_of_requests_and_not_of_keys(tmp_path: Path, fresh_root: logging.Logger) -> None:
    handler = configure_logging(logs_dir=tmp_path, console=False, level="DEBUG")
    assert handler in fresh_root.handlers
    async with Blob(containers=["papers"]) as azure:
        key = azure.connection_string.partition("AccountKey=")[2].partition(";")[0]
        async with BlobServiceClient.from_connection_string(azure.connection_string) as service:
            logging.getLogger("shop").info("connecting with %s", azure.connection_string)
            await service.get_blob_client("papers", "one").upload_blob(b"1", logging_enable=True)
            signature = generate_container_sas(
                str(service.account_name),
                "papers",
                account_key=key,
                permission=ContainerSasPermissions(read=True, list=True),
                expiry=datetime.now(UTC) + timedelta(hours=1),
            )
            url = f"{service.url.rstrip('/')}/papers?{signature}"
        async with ContainerClient.from_container_url(url) as container:
            names = [blob.name async for blob in container.list_blobs(logging_enable=True)]

    assert names == ["one"]
    assert handler.path is not None
    text = handler.path.read_text()
    assert "azure.core.pipeline.policies" in text
    assert text.count("sig=***") > 0
    assert "AccountKey=***" in text
    for secret in (key, signature.partition("sig=")[2].partition("&")[0]):
        assert secret not in text
    assert "SharedKey " not in text, "the signature of a request"
