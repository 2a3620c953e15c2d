"""Closed logs go to Blob Storage: through the real uploader and the unmodified SDK, to a stand-in on a socket."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import BlobServiceClient

from penstock_local_azure import Blob
from penstock_logging_monitor import LogMonitorService

if TYPE_CHECKING:
    from conftest import Logs


async def archived(azure: Blob, container: str) -> dict[str, bytes]:
    """Return name and content of every blob."""
    async with BlobServiceClient.from_connection_string(azure.connection_string) as service:
        client = service.get_container_client(container)
        names = [blob.name async for blob in client.list_blobs()]
        return {name: await (await client.download_blob(name)).readall() for name in names}


async def drain(logs: Logs, azure: Blob, container: str | None = None) -> LogMonitorService:
    service = LogMonitorService(
        logs.directory, container_name=container, connection_string=azure.connection_string, scan_interval=0.01
    )
    await service.initialize()
    await service.shutdown(drain=10)
    return service


@pytest.mark.parametrize("ready_made", [True, False], ids=["a container that is there", "one that is missing"])
async def test_every_record_arrives_under_its_headers_name(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, *, ready_made: bool
) -> None:
    monkeypatch.delenv("LOGS_CONTAINER", raising=False)
    handler = logs.writer("w", max_bytes=2000)
    messages = [f"record {number}" for number in range(100)]
    logs.say(handler, *messages)
    handler.close()

    async with Blob(containers=["fla-logs"] if ready_made else []) as azure:
        service = await drain(logs, azure)
        blobs = await archived(azure, "fla-logs")

    lines = [json.loads(line) for content in blobs.values() for line in gzip.decompress(content).splitlines()]
    assert sorted(line["message"] for line in lines if "message" in line) == sorted(messages)
    assert sum(line.get("schema") == "penstock-log/1" for line in lines) == len(blobs) == service.statistics().created
    assert all(name.startswith("app=shop/date=2026-03-01/host=") for name in blobs)
    assert logs.names() == []


async def test_a_log_that_arrived_before_is_recognized_and_another_under_its_name_put_beside_it(logs: Logs) -> None:
    path = logs.dead_writer("original")
    original = path.read_bytes()
    forged = original.split(b"\n")[0] + b'\n{"message":"forged"}\n'

    async with Blob() as azure:
        await drain(logs, azure, "archive")
        path.write_bytes(original)
        again = await drain(logs, azure, "archive")
        path.write_bytes(forged)
        other = await drain(logs, azure, "archive")
        blobs = await archived(azure, "archive")

    assert again.statistics().same == 1
    assert other.statistics().conflicts == 1
    assert sorted(gzip.decompress(content) for content in blobs.values()) == sorted([original, forged])
    assert sum(".conflict-" in name for name in blobs) == 1


async def test_an_account_that_is_away_costs_nothing_but_time(logs: Logs) -> None:
    path = logs.dead_writer("patient")
    content = path.read_bytes()
    async with Blob() as azure:
        connection_string = azure.connection_string

    service = LogMonitorService(logs.directory, connection_string=connection_string, scan_interval=0.01)
    await service.initialize()
    (staying,) = await service.shutdown(drain=0.5)

    assert (logs.directory / staying).read_bytes() == content
