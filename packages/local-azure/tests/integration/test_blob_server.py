"""The Blob stand-in as a server: its accounts, its life, what it refuses, and bodies that are large or break off."""

import asyncio
import gzip
import json
import logging
import socket
import time
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import generate_container_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from penstock_local_azure._blob import Blob
from penstock_local_azure._blob._content import Content
from penstock_local_azure._blob._records import Description
from penstock_local_azure._blob._shared_key import Signed, sign, string_to_sign

MIB = 1024**2


@pytest.fixture
async def blob() -> AsyncIterator[Blob]:
    async with Blob(containers=["logs"]) as server:
        yield server


@pytest.fixture
async def service(blob: Blob) -> AsyncIterator[BlobServiceClient]:
    async with BlobServiceClient(blob.account_url, blob.account_key) as client:
        yield client


@pytest.fixture
def logs(service: BlobServiceClient) -> ContainerClient:
    return service.get_container_client("logs")


class TestAccounts:
    async def test_count_what_is_there_and_what_was_asked(self, blob: Blob, logs: ContainerClient) -> None:
        await logs.upload_blob("a", b"12345")
        await logs.upload_blob("b", b"678")
        await logs.delete_blob("a")
        await logs.get_blob_client("b").stage_block("000", b"not committed")
        assert blob.stats() == {
            "containers": 1,
            "blobs": 1,
            "bytes": 3,
            "staged_blocks": 1,
            "requests": {"Delete Blob": 1, "Put Blob": 2, "Put Block": 1},
            "answers": {"201": 3, "202": 1},
            "faults": [],
        }
        assert json.loads(json.dumps(blob.stats())) == blob.stats()

    async def test_show_refused_requests_too(self, blob: Blob, logs: ContainerClient) -> None:
        with pytest.raises(HttpResponseError):
            await logs.get_blob_client("a").create_snapshot()
        assert blob.stats()["requests"] == {"Snapshot Blob": 1}


class TestLife:
    async def test_ends_with_its_block(self) -> None:
        async with Blob() as blob:
            port = _port(blob)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))

    async def test_ends_quickly_with_a_client_connected(self) -> None:
        async with (
            Blob(containers=["logs"]) as blob,
            BlobServiceClient.from_connection_string(blob.connection_string) as service,
        ):
            await service.get_container_client("logs").upload_blob("a", b"data")
            started = time.monotonic()
            await blob.__aexit__(None, None, None)
            assert time.monotonic() - started < 20, "it waited for the client, for whom a server has a minute"

    async def test_does_not_begin_on_a_port_in_use(self, blob: Blob) -> None:
        port = _port(blob)
        with pytest.raises(OSError, match="address already in use"):
            async with Blob(port=port):
                pytest.fail("two servers on one port")

    async def test_draws_another_key_each_time(self, blob: Blob) -> None:
        assert blob.account_key != Blob().account_key

    async def test_takes_account_key_and_clock(self) -> None:
        key = b64encode(b"given").decode()
        async with (
            Blob(account="mine", account_key=key, containers=["logs"], clock=lambda: 86_400.5) as blob,
            BlobServiceClient.from_connection_string(blob.connection_string) as service,
        ):
            assert (service.account_name, blob.account_key) == ("mine", key)
            properties = await service.get_container_client("logs").get_container_properties()
        assert properties.last_modified.timestamp() == 86_400

    def test_does_not_begin_with_what_cannot_be(self) -> None:
        with pytest.raises(ValueError, match="account_key"):
            Blob(account_key="not base64")
        with pytest.raises(ValueError, match="containers: cannot create 'Logs'"):
            Blob(containers=["Logs"])


class TestRefusals:
    async def test_name_the_operation(self, service: BlobServiceClient, logs: ContainerClient) -> None:
        await logs.upload_blob("a", b"data")
        target, now = logs.get_blob_client("a"), datetime.now(UTC)
        refused: dict[str, Callable[[], Awaitable[object]]] = {
            "Snapshot Blob": target.create_snapshot,
            "Lease Blob": target.acquire_lease,
            "Put Blob (AppendBlob)": target.create_append_blob,
            "Copy Blob": lambda: target.start_copy_from_url(target.url),
            "Blob Batch": lambda: logs.delete_blobs("a", "b"),
            "Lease Container": logs.acquire_lease,
            "Get User Delegation Key": lambda: service.get_user_delegation_key(now, now),
            "Get Container ACL": logs.get_container_access_policy,
            "Get Blob Service Properties": service.get_service_properties,
        }
        for name, call in refused.items():
            with pytest.raises(HttpResponseError, match="NotImplemented") as caught:
                await call()
            assert caught.value.status_code == HTTPStatus.NOT_IMPLEMENTED
            assert f"({name})" in str(caught.value)

    async def test_name_the_feature_of_an_operation(self, logs: ContainerClient) -> None:
        with pytest.raises(HttpResponseError, match="Put Blob with header x-ms-tags"):
            await logs.upload_blob("a", b"data", tags={"k": "v"})
        with pytest.raises(HttpResponseError, match="List Blobs with include=snapshots"):
            await anext(logs.list_blobs(include=["snapshots"]))
        with pytest.raises(HttpResponseError, match="Get Blob with parameter snapshot"):
            await logs.download_blob("a", snapshot="2026-11-22T12:00:00Z")

    async def test_name_the_kind_of_signature(self, blob: Blob) -> None:
        base = f"sv=2026-10-06&sp=r&sig=x&se={(datetime.now(UTC) + timedelta(hours=1)):%Y-%m-%dT%H:%MZ}"
        refused = {
            "sr=c&skoid=a": "a user delegation SAS",
            "sr=c&si=policy": "a stored access policy",
            "sr=d&sdd=1": "sr=d",
            "sr=c&ses=scope": "an encryption scope",
            "sr=c&sv=2019-12-12": "before 2020-12-06",
        }
        async with aiohttp.ClientSession() as session:
            for parameters, named in refused.items():
                async with session.get(f"{blob.account_url}/logs/a?{base}&{parameters}") as answer:
                    assert (answer.status, named in await answer.text()) == (HTTPStatus.NOT_IMPLEMENTED, True)

    async def test_name_the_protocol_that_a_signature_wants(self, blob: Blob) -> None:
        expiry = datetime.now(UTC) + timedelta(hours=1)
        sas = generate_container_sas("penstocklocal", "logs", blob.account_key, None, "r", expiry, protocol="https")
        async with BlobServiceClient(blob.account_url, sas) as service:
            with pytest.raises(HttpResponseError, match="AuthorizationProtocolMismatch"):
                await service.get_blob_client("logs", "a").download_blob()

    async def test_say_that_the_key_is_wrong(self, blob: Blob) -> None:
        async with BlobServiceClient(blob.account_url, b64encode(b"another").decode()) as service:
            with pytest.raises(ClientAuthenticationError) as caught:
                await service.get_container_client("logs").get_container_properties()
        assert caught.value.status_code == HTTPStatus.FORBIDDEN

    async def test_come_to_all_that_an_old_key_signed(self, blob: Blob) -> None:
        old, until = blob.account_key, datetime.now(UTC) + timedelta(hours=1)
        signature = generate_container_sas("penstocklocal", "logs", account_key=old, permission="l", expiry=until)

        new = blob.regenerate_key()

        for credential in (old, signature):
            async with BlobServiceClient(blob.account_url, credential) as client:
                with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed"):
                    _ = [name async for name in client.get_container_client("logs").list_blob_names()]
        assert old != new == blob.account_key
        async with BlobServiceClient.from_connection_string(blob.connection_string) as client:
            assert [container.name async for container in client.list_containers()] == ["logs"]

    async def test_want_a_signature(self, blob: Blob) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{blob.account_url}?comp=list") as answer:
            assert answer.status == HTTPStatus.UNAUTHORIZED
            assert answer.headers["x-ms-error-code"] == "NoAuthenticationInformation"

    async def test_come_before_a_large_body_is_kept(self, service: BlobServiceClient) -> None:
        missing = service.get_container_client("missing")
        with pytest.raises(ResourceNotFoundError):
            await missing.upload_blob("large", bytes(8 * MIB))


class TestBodies:
    async def test_large_ones_are_held_once(self, blob: Blob) -> None:
        headers = {"Content-Length": str(32 * MIB), "x-ms-blob-type": "BlockBlob"}
        piece = bytes(MIB // 4)
        tracemalloc.start()
        async with _socket(blob) as (reader, writer):
            writer.write(_head(blob, "PUT", "/logs/large", headers))
            for _ in range(128):
                writer.write(piece)
                await writer.drain()
            assert b" 201 " in await reader.readline()
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert blob.stats()["bytes"] == 32 * MIB
        assert peak < 36 * MIB, f"{held / MIB:.1f} MiB held, {peak / MIB:.1f} MiB at the peak"

    async def test_with_an_encoding_are_kept_as_sent(self, logs: ContainerClient) -> None:
        packed = gzip.compress(b"a line\n")
        blob = await logs.upload_blob("one", packed, headers={"Content-Encoding": "gzip"})
        assert (await blob.get_blob_properties()).content_settings.content_encoding == "gzip"
        assert await (await blob.download_blob(decompress=False)).readall() == packed

    async def test_that_nobody_reads_to_the_end_are_no_fault(
        self, blob: Blob, logs: ContainerClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        await logs.upload_blob("large", bytes(32 * MIB))
        async with _socket(blob) as (reader, writer):
            writer.write(_head(blob, "GET", "/logs/large", {}))
            assert b" 200 " in await reader.readline()
        assert await logs.exists()
        await blob.__aexit__(None, None, None)
        assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []

    async def test_that_break_off_leave_nothing(
        self, blob: Blob, logs: ContainerClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with _socket(blob) as (_, writer):
            writer.write(_head(blob, "PUT", "/logs/torn", {"Content-Length": "1000", "x-ms-blob-type": "BlockBlob"}))
            writer.write(b"half of it")
            await writer.drain()
        assert not await logs.get_blob_client("torn").exists()
        stats = blob.stats()
        assert (stats["blobs"], stats["bytes"], stats["staged_blocks"]) == (0, 0, 0)
        assert (stats["requests"], stats["answers"]) == ({"Get Blob Properties": 1, "Put Blob": 1}, {"404": 1})
        assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []

    async def test_of_unknown_length_are_refused(self, blob: Blob) -> None:
        headers = {"Transfer-Encoding": "chunked", "x-ms-blob-type": "BlockBlob"}
        async with _socket(blob) as (reader, writer):
            writer.write(_head(blob, "PUT", "/logs/chunked", headers) + b"4\r\ndata\r\n0\r\n\r\n")
            assert b" 411 " in await reader.readline()


async def test_thousands_of_blobs_are_listed_in_a_blink(blob: Blob, logs: ContainerClient) -> None:
    for number in range(10_000):
        blob._store.put_blob("logs", f"app/{number:05}.log", Content(b"line\n"), Description())
    started = time.process_time()
    names = [name async for name in logs.list_blob_names()]
    assert names == [f"app/{number:05}.log" for number in range(10_000)]
    assert time.process_time() - started < 5
    assert [one.name async for one in logs.walk_blobs(delimiter="/")] == ["app/"]


def _port(blob: Blob) -> int:
    return urlsplit(blob.account_url).port or 0


@asynccontextmanager
async def _socket(blob: Blob) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection to the stand-in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(blob))
    yield reader, writer
    writer.close()
    await writer.wait_closed()


def _head(blob: Blob, method: str, path: str, headers: dict[str, str]) -> bytes:
    """The head of a signed request, for a socket."""
    path = f"/penstocklocal{path}"
    signature = sign(blob.account_key, string_to_sign(Signed(method, path, [], headers), "penstocklocal"))
    lines = {**headers, "Host": "127.0.0.1", "Authorization": f"SharedKey penstocklocal:{signature}"}
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in lines.items()), "", ""]).encode()
