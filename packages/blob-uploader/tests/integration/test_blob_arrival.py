"""Files arrive whole, under one name, once: counted at the far end, through the unmodified SDK."""

import asyncio
import hashlib
import os
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Created,
    FileVanishedError,
    Outcome,
    RefusedError,
    UploaderClosedError,
)
from penstock_local_azure import Blob

if TYPE_CHECKING:
    from conftest import Holdings

MIB = 1024**2


def uploader_to(blob: Blob, **options: object) -> AsyncBlobStorageUploader:
    return AsyncBlobStorageUploader(None, "box", connection_string=blob.connection_string, **options)  # type: ignore[arg-type]  # options vary by test


def requests(blob: Blob) -> dict[str, int]:
    """How often the stand-in was asked for what."""
    counted: Any = blob.stats()["requests"]
    return dict(counted)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_200_files_of_several_producers_arrive_once_with_equal_bytes(
    blob: Blob, holdings: "Holdings", tmp_path: Path
) -> None:
    contents = {f"p{producer}-{n}.bin": os.urandom(n * 997) for producer in range(5) for n in range(40)}
    paths = [written(tmp_path / name, content) for name, content in contents.items()]

    async def produce(share: list[Path]) -> list[Outcome]:
        handles = [await uploader.upload_file(path, app_name="test") for path in share]
        return [await handle for handle in handles]

    async with uploader_to(blob) as uploader:
        outcomes = await asyncio.gather(*(produce(paths[start::5]) for start in range(5)))

    assert all(isinstance(outcome, Created) for share in outcomes for outcome in share)
    assert await holdings() == {f"test/{name}": sha256(content) for name, content in contents.items()}
    assert uploader.statistics().created == 200
    assert requests(blob)["Put Blob"] == 200


@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 4 * MIB + 1, 9 * MIB])
async def test_files_of_every_size_state_what_they_hold(
    blob: Blob, far_end: ContainerClient, holdings: "Holdings", tmp_path: Path, size: int
) -> None:
    content = os.urandom(size)

    async with uploader_to(blob) as uploader:
        outcome = await uploader.put(written(tmp_path / "f", content), "f")

    properties = await far_end.get_blob_client("f").get_blob_properties()
    assert outcome == Created(blob_name="f", length=size, sha256=sha256(content))
    assert properties.metadata == {"sha256": sha256(content), "length": str(size)}
    assert await holdings() == {"f": sha256(content)}


async def test_metadata_and_content_type_travel_with_the_file(
    blob: Blob, far_end: ContainerClient, tmp_path: Path
) -> None:
    small, large = written(tmp_path / "small", b"{}"), written(tmp_path / "large", bytes(5 * MIB))

    async with uploader_to(blob) as uploader:
        for path in (small, large):
            await uploader.put(path, path.name, metadata={"app": "feedback"}, content_type="application/json")

    for name in ("small", "large"):
        properties = await far_end.get_blob_client(name).get_blob_properties()
        assert properties.metadata["app"] == "feedback"
        assert properties.content_settings.content_type == "application/json"


@pytest.mark.parametrize(
    "metadata", [{"SHA256": "x"}, {"a-b": "x"}, {"": "x"}, {"a": "ü"}, {"a": " x"}, {"a": "x\r\ny"}]
)
async def test_metadata_the_service_would_refuse_is_refused_before_anything_is_sent(
    blob: Blob, tmp_path: Path, metadata: dict[str, str]
) -> None:
    async with uploader_to(blob) as uploader:
        with pytest.raises(ValueError, match="metadata"):
            await uploader.put(written(tmp_path / "f", b"x"), "f", metadata=metadata)

    assert requests(blob) == {}


async def test_bad_files_are_refused_and_the_rest_arrives(blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
    fine = [written(tmp_path / f"f{n}", b"x") for n in range(5)]

    async with uploader_to(blob) as uploader:
        with pytest.raises(FileVanishedError):
            await uploader.upload_file(tmp_path / "nothing")
        for path in fine:
            await uploader.upload_file(path)

    assert set(await holdings()) == {path.name for path in fine}


async def test_a_file_that_vanishes_while_queued_fails_alone(blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
    paths = [written(tmp_path / f"f{n}", b"x") for n in range(10)]

    async with uploader_to(blob, max_concurrency=1) as uploader:
        handles = [await uploader.upload_file(path) for path in paths]
        paths[9].unlink()
        with pytest.raises(FileVanishedError):
            await handles[9]

    assert set(await holdings()) == {f"f{n}" for n in range(9)}


@pytest.mark.parametrize("name", ["ü/ß €.txt", "100%.txt", "a b+c&d=e?f#g;h.txt", "🙂.bin", "~tilde'quote\".x"])
async def test_names_arrive_as_they_were_given(blob: Blob, holdings: "Holdings", tmp_path: Path, name: str) -> None:
    async with uploader_to(blob) as uploader:
        await uploader.put(written(tmp_path / "f", b"x"), name)

    assert set(await holdings()) == {name}


async def test_a_missing_container_is_created_when_asked_for(blob: Blob, tmp_path: Path) -> None:
    paths = [written(tmp_path / f"f{n}", bytes(5 * MIB)) for n in range(3)]
    uploader = AsyncBlobStorageUploader(None, "fresh", connection_string=blob.connection_string, create_container=True)

    async with uploader:
        for handle in [await uploader.upload_file(path) for path in paths]:
            assert isinstance(await handle, Created)

    async with BlobServiceClient.from_connection_string(blob.connection_string) as service:
        names = [name async for name in service.get_container_client("fresh").list_blob_names()]
    assert sorted(names) == ["f0", "f1", "f2"]


async def test_a_container_that_is_there_is_only_written_to(blob: Blob, tmp_path: Path) -> None:
    async with uploader_to(blob, create_container=True) as uploader:
        await uploader.put(written(tmp_path / "f", b"x"), "f")
        await uploader.put(written(tmp_path / "g", bytes(5 * MIB)), "g")

    assert set(requests(blob)) == {"Put Blob", "Put Block", "Put Block List"}


async def test_a_client_you_give_is_used_and_left_open(blob: Blob, tmp_path: Path) -> None:
    async with BlobServiceClient.from_connection_string(blob.connection_string) as client:
        async with AsyncBlobStorageUploader(None, "box", client=client) as uploader:
            await uploader.put(written(tmp_path / "f", b"x"), "f")

        assert [name async for name in client.get_container_client("box").list_blob_names()] == ["f"]


async def test_many_initialize_calls_make_one_uploader_and_after_shutdown_nothing_is_taken(
    blob: Blob, tmp_path: Path
) -> None:
    path = written(tmp_path / "f", b"x")
    uploader = uploader_to(blob)
    with pytest.raises(UploaderClosedError, match="initialize"):
        await uploader.upload_file(path)

    await asyncio.gather(*(uploader.initialize() for _ in range(5)))
    assert isinstance(await (await uploader.upload_file(path)), Created)
    assert await uploader.shutdown() == []
    assert await uploader.shutdown() == []

    with pytest.raises(UploaderClosedError):
        await uploader.put(path, "f")


async def test_the_loop_s_own_thread_never_opens_a_file(
    blob: Blob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = written(tmp_path / "small", b"x"), written(tmp_path / "large", bytes(5 * MIB))
    threads: list[threading.Thread] = []
    open_as_ever = os.open

    def open_and_note(path: Path, flags: int) -> int:
        threads.append(threading.current_thread())
        return open_as_ever(path, flags)

    async with uploader_to(blob) as uploader:
        monkeypatch.setattr(os, "open", open_and_note)
        for path in (small, large):
            await (await uploader.upload_file(path))

    assert len(threads) == 2
    assert threading.current_thread() not in threads


@pytest.mark.filterwarnings("error::ResourceWarning")  # aiohttp's advice about large bodies would fail the upload
@pytest.mark.parametrize("size", [2 * MIB, 5 * MIB])
async def test_large_bodies_are_written_in_pieces_and_draw_no_warning(blob: Blob, tmp_path: Path, size: int) -> None:
    async with uploader_to(blob) as uploader:
        outcome = await uploader.put(written(tmp_path / "f", bytes(size)), "f")

    assert isinstance(outcome, Created)


@pytest.mark.parametrize(("excepted", "expected"), [("", ["PUT http://127.0.0.1"]), ("127.0.0.1", [])])
async def test_the_environment_s_proxy_is_used_unless_it_excepts_the_host(
    blob: Blob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, excepted: str, expected: list[str]
) -> None:
    proxied: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        proxied.append(head[: len(b"PUT http://127.0.0.1")].decode())
        writer.write(b"HTTP/1.1 400 Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:{1}".format(*proxy.sockets[0].getsockname()))
        monkeypatch.setenv("no_proxy", excepted)
        async with uploader_to(blob) as uploader:
            with nullcontext() if excepted else pytest.raises(RefusedError):
                await uploader.put(written(tmp_path / "f", b"x"), "f")

    assert proxied == expected


GROWTH = """
import asyncio, resource, sys
from pathlib import Path
from penstock_blob_uploader import AsyncBlobStorageUploader

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

async def main(connection_string, small, large):
    async with AsyncBlobStorageUploader(None, "box", connection_string=connection_string) as uploader:
        await uploader.put(Path(small), "small")
        before = peak()
        await uploader.put(Path(large), "large")
        print(peak() - before)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
async def test_a_64_mib_file_passes_through_flat_memory(blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
    content = os.urandom(64 * MIB)
    small, large = written(tmp_path / "small", b"x"), written(tmp_path / "large", content)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GROWTH, blob.connection_string, str(small), str(large), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert int(output) < 40 * MIB
    assert (await holdings())["large"] == sha256(content)
