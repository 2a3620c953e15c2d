"""One name, one content, for good: what is there already is recognised or left alone, and the source kept."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import ContainerClient

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Conflict,
    Created,
    Same,
)
from penstock_local_azure import Blob

if TYPE_CHECKING:
    from conftest import Holdings

MIB = 1024**2


def uploader_to(blob: Blob, **options: object) -> AsyncBlobStorageUploader:
    return AsyncBlobStorageUploader(None, "box", connection_string=blob.connection_string, **options)  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [3, 5 * MIB])
async def test_a_second_uploader_finds_the_same_file_there(blob: Blob, tmp_path: Path, size: int) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    async with uploader_to(blob) as first:
        assert isinstance(await first.put(path, "f"), Created)

    async with uploader_to(blob) as second:
        assert isinstance(await second.put(path, "f"), Same)
        assert isinstance(await (await second.upload_file(path, "f")), Same)

    assert second.statistics().same == 1


@pytest.mark.parametrize("size", [3, 5 * MIB])
async def test_another_content_under_the_name_is_a_conflict_that_leaves_both_alone(
    blob: Blob, holdings: "Holdings", tmp_path: Path, size: int
) -> None:
    path = written(tmp_path / "f", b"a" * size)
    async with uploader_to(blob, delete_after_upload=True) as uploader:
        await uploader.put(path, "f")
        path.write_bytes(b"b" * size)

        with pytest.raises(Conflict) as conflict:
            await (await uploader.upload_file(path, "f"))

    assert conflict.value.permanent
    assert (conflict.value.length, conflict.value.sha256) == (size, sha256(b"a" * size))
    assert await holdings() == {"f": sha256(b"a" * size)}
    assert path.read_bytes() == b"b" * size


async def test_a_blob_somebody_else_made_without_a_hash_is_a_conflict(
    blob: Blob, far_end: ContainerClient, tmp_path: Path
) -> None:
    await far_end.upload_blob("f", b"abc")

    async with uploader_to(blob) as uploader:
        with pytest.raises(Conflict, match="not stated"):
            await uploader.put(written(tmp_path / "f", b"abc"), "f")


async def test_uploaders_racing_for_one_name_make_one_blob_of_one_of_them(
    blob: Blob, holdings: "Holdings", tmp_path: Path
) -> None:
    contents = [bytes([n]) * (5 * MIB + n) for n in range(4)]
    paths = [written(tmp_path / f"f{n}", content) for n, content in enumerate(contents)]

    async with uploader_to(blob) as one, uploader_to(blob) as other:
        results = await asyncio.gather(
            one.put(paths[0], "f"), other.put(paths[1], "f"), one.put(paths[2], "f"), other.put(paths[3], "f"),
            return_exceptions=True,
        )  # fmt: skip

    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Conflict", "Conflict", "Created"]
    winner = next(result for result in results if isinstance(result, Created))
    assert await holdings() == {"f": winner.sha256}
    assert winner.sha256 in {sha256(content) for content in contents}


async def test_a_queued_file_is_deleted_once_its_blob_is_confirmed(
    blob: Blob, holdings: "Holdings", tmp_path: Path
) -> None:
    paths = [written(tmp_path / f"f{n}", b"x" * n) for n in range(10)]

    async with uploader_to(blob, delete_after_upload=True) as uploader:
        for handle in [await uploader.upload_file(path) for path in paths]:
            await handle
            assert not handle.path.exists()

    assert len(await holdings()) == 10
