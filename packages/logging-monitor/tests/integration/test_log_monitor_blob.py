"""Closed logs go to Blob Storage: through the real uploader and the unmodified SDK, to a stand-in on a socket."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import generate_container_sas
from azure.storage.blob.aio import BlobServiceClient

from penstock_local_azure import Blob, CutAnswer, StorageError
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


def write_only(azure: Blob, container: str) -> str:
    """Return the account's URL with the right to create and write blobs in a container, and no other."""
    expiry = datetime.now(UTC) + timedelta(hours=1)
    name = azure.account_url.rpartition("/")[2]
    token = generate_container_sas(name, container, account_key=azure.account_key, permission="cw", expiry=expiry)
    return f"{azure.account_url}?{token}"


async def ship_write_only(logs: Logs, azure: Blob) -> LogMonitorService:
    url = write_only(azure, "archive")
    service = LogMonitorService(logs.directory, account_url=url, container_name="archive", scan_interval=0.01)
    await service.initialize()
    await service.shutdown(drain=20)
    return service


async def test_where_blobs_may_only_be_written_a_log_that_arrived_before_is_recognized_all_the_same(
    logs: Logs,
) -> None:
    path = logs.dead_writer("once")
    content = path.read_bytes()

    async with Blob(containers=["archive"]) as azure:
        await ship_write_only(logs, azure)
        path.write_bytes(content)  # as if the monitor had died between upload and removal
        again = await ship_write_only(logs, azure)
        path.write_bytes(content + b'{"message":"more"}\n')
        await ship_write_only(logs, azure)
        blobs = await archived(azure, "archive")

    assert again.statistics().same == 1
    assert sorted(map(gzip.decompress, blobs.values())) == sorted([content, content + b'{"message":"more"}\n'])
    assert logs.names() == []


async def test_a_log_that_another_zlib_packed_is_recognized_by_what_was_logged(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = logs.dead_writer("once")
    content = path.read_bytes()

    async with Blob() as azure:
        with monkeypatch.context() as patch:
            patch.setattr("penstock_logging_monitor._staging._LEVEL", 0)
            await drain(logs, azure, "archive")
        path.write_bytes(content)
        again = await drain(logs, azure, "archive")
        blobs = await archived(azure, "archive")

    assert (again.statistics().same, len(blobs)) == (1, 1)


@pytest.mark.parametrize("ship", [ship_write_only, lambda logs, azure: drain(logs, azure, "archive")])
async def test_an_upload_that_is_committed_but_never_answered_arrives_once(logs: Logs, ship: Any) -> None:
    logs.dead_writer("once")

    async with Blob(containers=["archive"]) as azure:
        azure.faults.add(CutAnswer(after=0), on="Put Blob", nth=1)
        await ship(logs, azure)
        blobs = await archived(azure, "archive")

    assert len(blobs) == 1
    assert logs.names() == []


async def test_a_container_that_refuses_is_told_once_with_the_remedy_and_loses_nothing(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10):
        logs.dead_writer(f"{number}", process=f"w{number}")

    async with Blob(containers=["archive"]) as azure:
        azure.faults.add(StorageError("AuthorizationFailure"), on="Put Blob")
        service = LogMonitorService(
            logs.directory, container_name="archive", connection_string=azure.connection_string, scan_interval=0.01
        )
        await service.initialize()
        async with asyncio.timeout(20):
            while service.statistics().failed < 2 or service.statistics().waiting < 10:
                await asyncio.sleep(0.01)
        told = [record.getMessage() for record in caplog.records if record.name.startswith("penstock_logging")]
        azure.faults.clear()
        await service.shutdown(drain=30)
        blobs = await archived(azure, "archive")

    assert len(told) == 1
    assert "Storage Blob Data Contributor" in told[0]
    assert len(blobs) == 10
    assert logs.names() == []


async def test_a_container_that_is_missing_and_may_not_be_made_is_told_once_and_used_once_it_is_there(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        logs.dead_writer(f"{number}", process=f"w{number}")

    async with Blob() as azure:
        url = write_only(azure, "archive")
        service = LogMonitorService(logs.directory, account_url=url, container_name="archive", scan_interval=0.01)
        await service.initialize()
        async with asyncio.timeout(20):
            while service.statistics().failed < 2 or service.statistics().waiting < 3:
                await asyncio.sleep(0.01)
        told = [record.getMessage() for record in caplog.records if record.name.startswith("penstock_logging")]
        async with BlobServiceClient.from_connection_string(azure.connection_string) as somebody:
            await somebody.create_container("archive")
        staying = await service.shutdown(drain=30)
        blobs = await archived(azure, "archive")

    assert len(told) == 1
    assert "archive" in told[0]
    assert "give it the role" in told[0]
    assert "sig=" not in told[0]
    assert (staying, len(blobs)) == ([], 3)


async def test_a_key_that_is_rotated_and_told_needs_no_other_monitor(logs: Logs) -> None:
    async with Blob(containers=["archive"]) as azure:
        credential = AzureNamedKeyCredential("penstocklocal", azure.account_key)
        service = LogMonitorService(
            logs.directory,
            account_url=azure.account_url,
            container_name="archive",
            credential=credential,
            scan_interval=0.01,
        )
        await service.initialize()
        azure.regenerate_key()
        logs.dead_writer("with the new key")
        async with asyncio.timeout(60):
            while not service.statistics().failed:
                await asyncio.sleep(0.01)
        credential.update("penstocklocal", azure.account_key)
        staying = await service.shutdown(drain=60)
        blobs = await archived(azure, "archive")

    assert (staying, len(blobs)) == ([], 1)


async def test_an_account_that_is_away_costs_nothing_but_time(logs: Logs) -> None:
    path = logs.dead_writer("patient")
    content = path.read_bytes()
    async with Blob() as azure:
        connection_string = azure.connection_string

    service = LogMonitorService(logs.directory, connection_string=connection_string, scan_interval=0.01)
    await service.initialize()
    (staying,) = await service.shutdown(drain=0.5)

    assert (logs.directory / staying).read_bytes() == content
