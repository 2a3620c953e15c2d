"""What becomes of another content under the name: it stays, gives way if it differs, or gives way unseen."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob.aio import ContainerClient, ExponentialRetry

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Conflict,
    Created,
    Overwrite,
    Replaced,
    Same,
    TransferError,
)
from penstock_local_azure import Blob

if TYPE_CHECKING:
    from conftest import Front, Holdings

MIB = 1024**2
SIZES = pytest.mark.parametrize("size", [7, 5 * MIB], ids=["one request", "blocks"])


def uploader_to(target: "Front | Blob", **options: object) -> AsyncBlobStorageUploader:
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    retry = {"client_options": {"retry_policy": ExponentialRetry(retry_total=0)}}
    return AsyncBlobStorageUploader(**{**settings, **retry, **options})  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def requests(blob: Blob) -> dict[str, int]:
    counted: Any = blob.stats()["requests"]
    return dict(counted)


@SIZES
@pytest.mark.parametrize("overwrite", ["if-different", "always"])
async def test_another_content_gives_way_whole(
    blob: Blob, far_end: ContainerClient, holdings: "Holdings", tmp_path: Path, overwrite: Overwrite, size: int
) -> None:
    await far_end.upload_blob("f", b"what was there", metadata={"team": "before"})
    path = written(tmp_path / "f", os.urandom(size))

    async with uploader_to(blob, overwrite=overwrite) as uploader:
        outcome = await (await uploader.upload_file(path))

    content = path.read_bytes()
    properties = await far_end.get_blob_client("f").get_blob_properties()
    assert outcome == Replaced(blob_name="f", length=size, sha256=sha256(content))
    assert await holdings() == {"f": sha256(content)}
    assert properties.metadata == {"sha256": sha256(content), "length": str(size)}
    statistics = uploader.statistics()
    assert (statistics.replaced, statistics.created, statistics.uploaded_bytes) == (1, 0, size)


@SIZES
@pytest.mark.parametrize("overwrite", ["if-different", "always"])
async def test_a_free_name_is_created_in_every_mode(
    blob: Blob, tmp_path: Path, overwrite: Overwrite, size: int
) -> None:
    async with uploader_to(blob) as uploader:
        outcome = await uploader.put(written(tmp_path / "f", bytes(size)), "f", overwrite=overwrite)

    assert isinstance(outcome, Created)
    assert "Get Blob Properties" not in requests(blob)


@SIZES
async def test_if_different_leaves_an_equal_blob_alone(
    blob: Blob, far_end: ContainerClient, tmp_path: Path, size: int
) -> None:
    path = written(tmp_path / "f", os.urandom(size))

    async with uploader_to(blob, overwrite="if-different") as uploader:
        await uploader.put(path, "f")
        before = await far_end.get_blob_client("f").get_blob_properties()
        outcome = await uploader.put(path, "f")

    assert isinstance(outcome, Same)
    assert (await far_end.get_blob_client("f").get_blob_properties()).etag == before.etag


async def test_if_different_does_not_replace_what_it_has_not_seen(
    front: "Front", far_end: ContainerClient, holdings: "Holdings", tmp_path: Path
) -> None:
    """Somebody writes between the comparison and the replacement: this attempt fails, the next one looks again."""
    await far_end.upload_blob("f", b"first")
    path = written(tmp_path / "f", b"ours")

    async def somebody_writes() -> None:
        await far_end.upload_blob("f", b"second", overwrite=True)

    async with uploader_to(front, overwrite="if-different") as uploader:
        front.after("HEAD", somebody_writes)
        with pytest.raises(TransferError, match="changed while it was compared") as failure:
            await uploader.put(path, "f")
        assert await holdings() == {"f": sha256(b"second")}
        assert isinstance(await (await uploader.upload_file(path)), Replaced)

    assert not failure.value.permanent
    assert await holdings() == {"f": sha256(b"ours")}


async def test_always_needs_only_the_right_to_write(
    front: "Front", far_end: ContainerClient, holdings: "Holdings", tmp_path: Path
) -> None:
    await far_end.upload_blob("f", b"what was there")
    front.break_down(403, "AuthorizationPermissionMismatch", method="HEAD")
    path = written(tmp_path / "f", b"ours")

    async with uploader_to(front) as uploader:
        with pytest.raises(Conflict, match="only write"):
            await uploader.put(path, "f", overwrite="if-different")
        assert isinstance(await uploader.put(path, "f", overwrite="always"), Replaced)

    assert await holdings() == {"f": sha256(b"ours")}


async def test_a_blob_that_cannot_be_replaced_is_a_conflict(
    front: "Front", far_end: ContainerClient, tmp_path: Path
) -> None:
    await far_end.upload_blob("f", b"what was there")
    front.fail(409, "BlobAlreadyExists")
    front.fail(412, "LeaseIdMissing")

    async with uploader_to(front, overwrite="always") as uploader:
        with pytest.raises(Conflict, match=r"cannot be replaced \(LeaseIdMissing\)"):
            await uploader.put(written(tmp_path / "f", b"ours"), "f")


async def test_one_upload_may_differ_from_the_rest(blob: Blob, far_end: ContainerClient, tmp_path: Path) -> None:
    await far_end.upload_blob("f", b"what was there")
    path = written(tmp_path / "f", b"ours")

    async with uploader_to(blob) as uploader:
        with pytest.raises(Conflict):
            await (await uploader.upload_file(path))
        assert isinstance(await (await uploader.upload_file(path, overwrite="always")), Replaced)


async def test_a_mode_there_is_not_is_refused(blob: Blob, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'never', 'if-different', 'always'"):
        uploader_to(blob, overwrite=True)

    async with uploader_to(blob) as uploader:
        with pytest.raises(ValueError, match="overwrite must be one of"):
            await uploader.put(written(tmp_path / "f", b"x"), "f", overwrite="sometimes")  # type: ignore[arg-type]  # the point
