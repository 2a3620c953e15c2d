"""A setup that somebody must mend: rights, container, address. It is named with its remedy, and the queue waits."""

import asyncio
import hashlib
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

from penstock_blob_uploader import (
    AccessDeniedError,
    AccountUnreachableError,
    AsyncBlobStorageUploader,
    Conflict,
    ContainerMissingError,
    Created,
    NotUploadedError,
    Same,
    TransferError,
    UploaderClosedError,
)
from penstock_local_azure import Blob

if TYPE_CHECKING:
    from conftest import Front, Holdings

MIB = 1024**2
WITHOUT_SDK_RETRIES = {"retry_policy": ExponentialRetry(retry_total=0)}


def uploader_to(target: "Front | Blob", *, sdk_retries: int = 0, **options: object) -> AsyncBlobStorageUploader:
    """An uploader in a hurry: without the SDK's own retries, unless a test is about them."""
    retry = {} if sdk_retries else {"client_options": WITHOUT_SDK_RETRIES}
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    return AsyncBlobStorageUploader(**{**settings, **retry, **options})  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_missing_right_pauses_the_queue_which_resumes_when_it_is_granted(
    front: "Front", holdings: "Holdings", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "penstock_blob_uploader")
    front.break_down(403, "AuthorizationPermissionMismatch")
    paths = [written(tmp_path / f"f{n}", b"x" * n) for n in range(20)]

    async with uploader_to(front, max_retries=0) as uploader:
        handles = [await uploader.upload_file(path) for path in paths]
        async with asyncio.timeout(10):
            while len(front.asked) < 5 or not uploader.statistics().paused:  # five at once, or one and then the probes
                await asyncio.sleep(0.001)
        assert "Storage Blob Data Contributor" in (uploader.statistics().paused or "")
        front.mend()
        outcomes = [await handle for handle in handles]

    assert all(isinstance(outcome, Created) for outcome in outcomes)
    assert set(await holdings()) == {path.name for path in paths}
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1


async def test_a_missing_container_pauses_the_queue_until_somebody_makes_it(blob: Blob, tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"content")

    async with uploader_to(blob, container_name="later", max_retries=0) as uploader:
        with pytest.raises(ContainerMissingError, match="create_container=True") as failure:
            await uploader.put(path, "f")
        handle = await uploader.upload_file(path)
        async with BlobServiceClient.from_connection_string(blob.connection_string) as somebody:
            await somebody.create_container("later")
        assert isinstance(await handle, Created)

    assert failure.value.environment


async def test_an_account_that_answers_nothing_pauses_the_queue_until_it_does(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    blob = Blob(port=port, containers=["box"])
    string = (
        f"AccountName=penstocklocal;AccountKey={blob.account_key};BlobEndpoint=http://127.0.0.1:{port}/penstocklocal;"
    )

    async with uploader_to(blob, connection_string=string, max_retries=0) as uploader:
        path = written(tmp_path / "f", b"content")
        with pytest.raises(AccountUnreachableError, match="nothing answers"):
            await uploader.put(path, "f")
        handle = await uploader.upload_file(path)
        async with blob:
            assert isinstance(await handle, Created)


async def test_a_host_unknown_to_dns_is_named_as_such(tmp_path: Path) -> None:
    uploader = AsyncBlobStorageUploader(
        "https://nowhere.blob.core.invalid/",
        "box",
        credential="a2V5",
        client_options={"retry_policy": ExponentialRetry(retry_total=0)},
    )

    async with uploader:
        with pytest.raises(AccountUnreachableError, match="DNS") as failure:
            await uploader.put(written(tmp_path / "f", b"content"), "f")

    assert failure.value.environment


async def test_a_server_that_speaks_no_tls_is_named_as_such(front: "Front", tmp_path: Path) -> None:
    url = front.address.replace("http://", "https://") + "/acc"
    async with AsyncBlobStorageUploader(url, "box", credential="a2V5", client_options=WITHOUT_SDK_RETRIES) as uploader:
        with pytest.raises(AccountUnreachableError, match="TLS"):
            await uploader.put(written(tmp_path / "f", b"content"), "f")


async def test_a_wrong_key_is_denied_with_the_remedy(blob: Blob, tmp_path: Path) -> None:
    wrong = blob.connection_string.replace(blob.account_key, "d3Jvbmc=")

    async with uploader_to(blob, connection_string=wrong) as uploader:
        with pytest.raises(AccessDeniedError, match="renew it"):
            await uploader.put(written(tmp_path / "f", b"content"), "f")


async def test_rights_to_write_alone_are_enough(front: "Front", holdings: "Holdings", tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"content")
    front.break_down(403, "AuthorizationPermissionMismatch", method="HEAD")

    async with uploader_to(front, create_container=True) as uploader:
        assert isinstance(await uploader.put(path, "f"), Created)
        with pytest.raises(Conflict, match="only write") as conflict:
            await uploader.put(path, "f")

    assert conflict.value.length is None
    assert await holdings() == {"f": sha256(path)}


async def test_a_container_that_may_not_be_created_says_so(front: "Front", tmp_path: Path) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch", query="restype=container")

    async with uploader_to(front, container_name="fresh", create_container=True) as uploader:
        with pytest.raises(AccessDeniedError, match="Creating the container fresh"):
            await uploader.put(written(tmp_path / "f", b"content"), "f")


async def test_a_blob_that_goes_away_while_it_is_compared_is_tried_again(front: "Front", tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front) as uploader:
        await uploader.put(path, "f")
        front.fail(404, "BlobNotFound", method="HEAD")
        with pytest.raises(TransferError):
            await uploader.put(path, "f")
        assert isinstance(await uploader.put(path, "f"), Same)


async def test_shutdown_at_its_deadline_names_what_is_left_and_keeps_it(front: "Front", tmp_path: Path) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch")
    paths = [written(tmp_path / f"f{n}", b"x") for n in range(3)]
    uploader = uploader_to(front, delete_after_upload=True)
    await uploader.initialize()
    handles = [await uploader.upload_file(path) for path in paths]

    left = await uploader.shutdown(drain=0.1)

    assert sorted(left) == paths
    assert all(path.exists() for path in paths)
    for handle in handles:
        with pytest.raises(NotUploadedError):
            await handle


async def test_whether_blobs_may_be_looked_at_is_known_before_the_first_upload(front: "Front", blob: Blob) -> None:
    async with uploader_to(blob) as uploader:
        assert await uploader.may_read()
    async with uploader_to(blob, container_name="not-there-yet") as uploader:
        assert await uploader.may_read()

    async with uploader_to(front) as uploader:
        front.fail(403, "AuthorizationPermissionMismatch", method="HEAD")
        assert not await uploader.may_read()
        front.fail(403, "AuthenticationFailed", method="HEAD")
        with pytest.raises(AccessDeniedError, match="is wrong or expired"):
            await uploader.may_read()
    with pytest.raises(UploaderClosedError):
        await uploader.may_read()
