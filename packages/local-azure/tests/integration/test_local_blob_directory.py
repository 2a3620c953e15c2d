"""The local Blob Storage on disk: it takes no memory, is there again next time, and loses nothing to a kill."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from penstock_local_azure import Blob, CutRequest, DirectoryUnavailable, LocalAzure

MIB = 1024**2
PROGRAM = """
import asyncio, sys
from penstock_local_azure import Blob

async def main():
    async with Blob(directory=sys.argv[1], containers=["logs"]) as blob:
        print(blob.connection_string, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def client(blob: Blob) -> AsyncIterator[ContainerClient]:
    async with BlobServiceClient.from_connection_string(blob.connection_string, retry_total=0) as service:
        yield service.get_container_client("logs")


@asynccontextmanager
async def process(directory: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, ContainerClient]]:
    """The stand-in as a process of its own, on a directory, and a client for it."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, directory, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    try:
        connection_string = (await program.stdout.readline()).decode().strip()
        async with BlobServiceClient.from_connection_string(connection_string, retry_total=0) as service:
            yield program, service.get_container_client("logs")
    finally:
        if program.returncode is None:
            program.kill()
        await program.communicate()


def peak_memory(program: asyncio.subprocess.Process) -> int:
    """The most bytes that a process has held so far."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def files(directory: Path) -> int:
    return len(list((directory / "bodies").iterdir()))


async def test_everything_said_is_there_again_next_time(tmp_path: Path) -> None:
    async with Blob(directory=tmp_path, containers=["logs"]) as blob, client(blob) as logs:
        await logs.set_container_metadata({"purpose": "logs"})
        one = await logs.upload_blob("a/ä", b"data", metadata={"k": "v"})
        await one.set_blob_metadata({"k": "w"})
        await (await logs.upload_blob("gone", b"data")).delete_blob()
        large = logs.get_blob_client("large")
        for number in "01":
            await large.stage_block(number, number.encode() * 1000)
        await large.commit_block_list([BlobBlock("0"), BlobBlock("1"), BlobBlock("0")])
        before = [await each.get_blob_properties() for each in (one, large)]

    async with Blob(directory=tmp_path, containers=["logs"]) as blob, client(blob) as logs:
        one, large = logs.get_blob_client("a/ä"), logs.get_blob_client("large")
        after = [await each.get_blob_properties() for each in (one, large)]
        assert (await logs.get_container_properties()).metadata == {"purpose": "logs"}
        assert await (await large.download_blob()).readall() == b"0" * 1000 + b"1" * 1000 + b"0" * 1000
        assert [block.id for block in (await large.get_block_list())[0]] == ["0", "1", "0"]
        assert [name async for name in logs.list_blob_names()] == ["a/ä", "large"]
    told = [
        (each.etag, each.last_modified, each.creation_time, each.metadata, each.content_settings) for each in before
    ]
    assert told == [
        (each.etag, each.last_modified, each.creation_time, each.metadata, each.content_settings) for each in after
    ]


async def test_what_is_overwritten_deleted_or_broken_off_leaves_no_file(tmp_path: Path) -> None:
    async with Blob(directory=tmp_path, containers=["logs"]) as blob, client(blob) as logs:
        one = await logs.upload_blob("a", b"first")
        await logs.upload_blob("a", b"second", overwrite=True)
        with pytest.raises(HttpResponseError):
            await logs.upload_blob("a", b"third")
        assert files(tmp_path) == 1
        await one.stage_block("0", b"block")
        blob.faults.add(CutRequest(), on="Put Block")
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            await one.stage_block("1", b"block")
        assert files(tmp_path) == 2
        await one.delete_blob()
        assert files(tmp_path) == 0


async def test_a_blob_that_is_replaced_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    data = os.urandom(16 * MIB)
    async with Blob(directory=tmp_path, containers=["logs"]) as blob, client(blob) as logs:
        one = await logs.upload_blob("a", data)
        download = await one.download_blob()
        await one.upload_blob(b"other", overwrite=True)
        assert await download.readall() == data
        assert await (await one.download_blob()).readall() == b"other"
        assert files(tmp_path) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the account of memory that Linux keeps")
async def test_bodies_are_held_in_memory_neither_way(tmp_path: Path) -> None:
    sent, found = hashlib.sha256(), hashlib.sha256()

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(128):
            piece = bytes([number]) * MIB
            sent.update(piece)
            yield piece

    async with process(tmp_path) as (program, logs):
        before = peak_memory(program)
        one = await logs.upload_blob("large", pieces(), length=128 * MIB, max_concurrency=4)
        async for piece in (await one.download_blob(max_concurrency=4)).chunks():
            found.update(piece)
        grown = peak_memory(program) - before
    assert found.digest() == sent.digest()
    assert grown < 40 * MIB, f"{grown / MIB:.1f} MiB"


async def test_a_second_one_does_not_begin_there(tmp_path: Path) -> None:
    async with Blob(directory=tmp_path):
        with pytest.raises(DirectoryUnavailable, match="locked") as caught:
            async with LocalAzure(blob_directory=tmp_path):
                pytest.fail("two servers in one directory")
        assert caught.value.directory == tmp_path
    async with Blob(directory=tmp_path):
        pass


async def test_what_is_no_account_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "records.sqlite").write_bytes(b"something else, and long enough to be looked at" * 20)
    with pytest.raises(DirectoryUnavailable, match="not a database"):
        async with Blob(directory=tmp_path):
            pytest.fail("began in a directory that is none of its own")
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryUnavailable, match="Not a directory"):
        async with Blob(directory=tmp_path / "file"):
            pytest.fail("began in a file")


async def test_a_disk_that_takes_no_more_is_an_internal_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Blob(directory=tmp_path, containers=["logs"]) as blob, client(blob) as logs:
        shutil.rmtree(tmp_path / "bodies")
        with pytest.raises(HttpResponseError) as caught:
            await logs.upload_blob("a", b"data")
        assert (caught.value.status_code, getattr(caught.value, "error_code", None)) == (500, "InternalError")
        assert "Put Blob failed" in caplog.text
        (tmp_path / "bodies").mkdir()
        await logs.upload_blob("a", b"data")


async def test_a_kill_loses_nothing_that_was_answered_and_keeps_nothing_else(tmp_path: Path) -> None:
    answered: dict[str, bytes] = {}

    async def write(program: asyncio.subprocess.Process, logs: ContainerClient, writer: int) -> None:
        for number in range(10_000):
            data = os.urandom(2000)
            await logs.upload_blob(f"{writer}/{number}", data)
            answered[f"{writer}/{number}"] = data
            if len(answered) == 100:
                program.kill()

    async with process(tmp_path) as (program, logs):
        await asyncio.gather(*(write(program, logs, writer) for writer in range(4)), return_exceptions=True)

    async with Blob(directory=tmp_path, containers=["logs"]) as blob, client(blob) as logs:
        found = {name: await (await logs.download_blob(name)).readall() async for name in logs.list_blob_names()}
        assert found.items() >= answered.items()
        assert len(found) - len(answered) <= 4, "those whose answers the kill swallowed"
        assert {len(data) for data in found.values()} == {2000}
        assert files(tmp_path) == len(found)
