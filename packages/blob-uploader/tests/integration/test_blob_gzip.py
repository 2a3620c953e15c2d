"""Compressed on the way: what arrives says what it holds, the same file gives the same bytes, memory stays flat."""

import asyncio
import gzip
import hashlib
import os
import sys
from pathlib import Path

import pytest
from azure.storage.blob.aio import ContainerClient

from penstock_blob_uploader import AsyncBlobStorageUploader, Conflict, Created, Replaced, Same
from penstock_local_azure import Blob

MIB = 1024**2


def uploader_to(blob: Blob, **options: object) -> AsyncBlobStorageUploader:
    return AsyncBlobStorageUploader(None, "box", connection_string=blob.connection_string, **options)  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def stored(far_end: ContainerClient, name: str) -> bytes:
    """The bytes as they lie in the container; the SDK would decompress them."""
    return await (await far_end.download_blob(name, decompress=False)).readall()


LINES = b"".join(b"line %d of a log that compresses well\n" % n for n in range(300_000))
CONTENTS = {
    "empty": b"",
    "text": LINES[:10_000],
    "long text": LINES,
    "noise of 4 MiB": os.urandom(4 * MIB),
    "long noise": os.urandom(9 * MIB),
}


@pytest.mark.parametrize("kind", CONTENTS)
async def test_a_compressed_blob_states_what_it_holds(
    blob: Blob, far_end: ContainerClient, tmp_path: Path, kind: str
) -> None:
    content = CONTENTS[kind]

    async with uploader_to(blob, gzip=True) as uploader:
        outcome = await (await uploader.upload_file(written(tmp_path / "f", content), content_type="text/plain"))

    properties = await far_end.get_blob_client("f").get_blob_properties()
    compressed = await stored(far_end, "f")
    assert outcome == Created(blob_name="f", length=len(content), sha256=sha256(content))
    assert properties.metadata == {"sha256": sha256(content), "length": str(len(content))}
    assert (properties.content_settings.content_encoding, properties.content_settings.content_type) == (
        "gzip",
        "text/plain",
    )
    assert gzip.decompress(compressed) == content
    assert len(compressed) < max(len(content) // 3, 100) or "noise" in kind


async def test_readers_that_know_the_encoding_get_the_file(
    blob: Blob, far_end: ContainerClient, tmp_path: Path
) -> None:
    async with uploader_to(blob) as uploader:
        await uploader.put(written(tmp_path / "f", LINES), "f", gzip=True)

    assert await (await far_end.download_blob("f")).readall() == LINES


@pytest.mark.parametrize("content", [LINES[:10_000], LINES], ids=["one request", "blocks"])
async def test_the_same_content_gives_the_same_bytes_whatever_its_name_and_time(
    blob: Blob, far_end: ContainerClient, tmp_path: Path, content: bytes
) -> None:
    early, late = written(tmp_path / "early", content), written(tmp_path / "late", content)
    os.utime(early, (1_000_000_000, 1_000_000_000))

    async with uploader_to(blob, gzip=True) as uploader:
        for path in (early, late):
            await uploader.put(path, path.name)

    assert await stored(far_end, "early") == await stored(far_end, "late")
    assert (await stored(far_end, "early"))[4:8] == bytes(4), "the time of compression"


@pytest.mark.parametrize("content", [LINES[:10_000], CONTENTS["long noise"]], ids=["one request", "blocks"])
async def test_the_same_file_is_recognised_compressed_or_not(blob: Blob, tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "f", content)

    async with uploader_to(blob) as uploader:
        for first, second in ((True, True), (True, False), (False, True)):
            name = f"{first}-{second}"
            assert isinstance(await uploader.put(path, name, gzip=first), Created)
            assert isinstance(await uploader.put(path, name, gzip=second), Same)


async def test_another_content_is_told_apart_under_compression(blob: Blob, tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"a" * 1000)

    async with uploader_to(blob, gzip=True) as uploader:
        await uploader.put(path, "f")
        path.write_bytes(b"b" * 1000)
        with pytest.raises(Conflict):
            await uploader.put(path, "f")
        assert isinstance(await uploader.put(path, "f", overwrite="if-different"), Replaced)


GROWTH = """
import asyncio, resource, sys
from pathlib import Path
from penstock_blob_uploader import AsyncBlobStorageUploader

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

async def main(connection_string, small, large):
    async with AsyncBlobStorageUploader(None, "box", connection_string=connection_string, gzip=True) as uploader:
        await uploader.put(Path(small), "small")
        before = peak()
        await uploader.put(Path(large), "large")
        print(peak() - before)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
async def test_a_64_mib_file_is_compressed_in_flat_memory(blob: Blob, far_end: ContainerClient, tmp_path: Path) -> None:
    content = os.urandom(MIB) * 64  # not equal within the 32 KiB that gzip looks back, so nothing gets smaller
    small, large = written(tmp_path / "small", b"x"), written(tmp_path / "large", content)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GROWTH, blob.connection_string, str(small), str(large), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert int(output) < 48 * MIB
    assert gzip.decompress(await stored(far_end, "large")) == content
