"""Trouble that passes: throttling, failures, cut connections, damaged bodies, files that change on the way."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import ExponentialRetry

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Created,
    RefusedError,
    Same,
    UnavailableError,
    UploadError,
)

if TYPE_CHECKING:
    from conftest import Front, Holdings

MIB = 1024**2
WITHOUT_SDK_RETRIES = {"retry_policy": ExponentialRetry(retry_total=0)}


def uploader_to(target: "Front", *, sdk_retries: int = 0, **options: object) -> AsyncBlobStorageUploader:
    """An uploader in a hurry: without the SDK's own retries, unless a test is about them."""
    retry = {} if sdk_retries else {"client_options": WITHOUT_SDK_RETRIES}
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    return AsyncBlobStorageUploader(**{**settings, **retry, **options})  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "fault",
    [(503, "ServerBusy"), (500, "InternalError"), (429, ""), (400, "Md5Mismatch")],
    ids=lambda fault: fault[1] or "429",
)
async def test_trouble_that_passes_is_outlasted(
    front: "Front", holdings: "Holdings", tmp_path: Path, fault: tuple[int, str]
) -> None:
    front.fail(*fault, times=3)
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path))

    assert isinstance(outcome, Created)
    assert uploader.statistics().retries == 3
    assert await holdings() == {"f": sha256(path)}


async def test_cut_connections_are_outlasted(front: "Front", holdings: "Holdings", tmp_path: Path) -> None:
    front.cut(times=5)
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path))

    assert isinstance(outcome, Created)
    assert len(front.asked) == 6
    assert uploader.statistics().retries == 2, "aiohttp itself repeats a PUT once on a cut connection"
    assert await holdings() == {"f": sha256(path)}


async def test_the_wait_the_service_asks_for_is_kept(front: "Front", tmp_path: Path) -> None:
    front.fail(503, "ServerBusy", x_ms_retry_after_ms="700")

    async with uploader_to(front, retry_delay=0.001) as uploader:
        await (await uploader.upload_file(written(tmp_path / "f", b"content")))

    first, second = front.asked
    assert second - first >= 0.7


async def test_trouble_that_stays_uses_up_the_attempts_and_keeps_the_file(front: "Front", tmp_path: Path) -> None:
    front.break_down(503, "ServerBusy")
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front, max_retries=2, delete_after_upload=True) as uploader:
        with pytest.raises(UnavailableError, match="ServerBusy") as failure:
            await (await uploader.upload_file(path))

    assert failure.value.environment
    assert len(front.asked) == 3
    assert path.exists()


async def test_put_repeats_nothing_itself_but_says_what_would_help(front: "Front", tmp_path: Path) -> None:
    front.fail(503, "ServerBusy", Retry_After="20")

    async with uploader_to(front, sdk_retries=3) as uploader:
        with pytest.raises(UnavailableError) as failure:
            await uploader.put(written(tmp_path / "f", b"content"), "f")

    assert failure.value.retry_after == 20.0
    assert len(front.asked) == 1, "asked to wait for long, the SDK's own retries give way"


@pytest.mark.parametrize(("size", "requests"), [(7, 3), (3 * MIB, 3), (5 * MIB, 5)])
async def test_the_sdk_s_own_retry_mends_a_cut_connection_within_seconds(
    front: "Front", holdings: "Holdings", tmp_path: Path, size: int, requests: int
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.cut(times=2)

    async with uploader_to(front, sdk_retries=3) as uploader:
        outcome = await uploader.put(path, "f")

    assert isinstance(outcome, Created)
    assert len(front.asked) == requests
    assert await holdings() == {"f": sha256(path)}


SIZES = pytest.mark.parametrize(
    ("size", "commit"), [(7, ""), (5 * MIB, "comp=blocklist")], ids=["one request", "blocks"]
)


@SIZES
async def test_committed_but_unanswered_and_started_again_ends_in_same(
    front: "Front", holdings: "Holdings", tmp_path: Path, size: int, commit: str
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.cut(query=commit, done_first=True)
    front.cut()

    async with uploader_to(front) as first:
        with pytest.raises(UnavailableError):
            await first.put(path, "f")
    async with uploader_to(front, delete_after_upload=True) as restarted:
        outcome = await (await restarted.upload_file(path, "f"))

    assert isinstance(outcome, Same)
    assert await holdings() == {"f": outcome.sha256}
    assert not path.exists()


@SIZES
async def test_committed_but_unanswered_ends_in_same_by_itself(
    front: "Front", holdings: "Holdings", tmp_path: Path, size: int, commit: str
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.cut(query=commit, done_first=True)

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path, "f"))

    assert isinstance(outcome, Same)
    assert await holdings() == {"f": sha256(path)}


async def test_a_failing_block_ends_the_attempt_and_the_next_one_sends_all_again(
    front: "Front", holdings: "Holdings", tmp_path: Path
) -> None:
    path = written(tmp_path / "f", os.urandom(14 * MIB))
    front.fail(500, "InternalError", query="comp=block&")

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path))

    assert isinstance(outcome, Created)
    assert await holdings() == {"f": sha256(path)}


@pytest.mark.parametrize("size", [7, 9 * MIB])
async def test_a_file_that_changes_while_it_is_sent_is_never_committed(
    front: "Front", holdings: "Holdings", tmp_path: Path, size: int
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.fail(503, "ServerBusy")

    async with uploader_to(front, retry_delay=0.2) as uploader:
        handle = await uploader.upload_file(path)
        async with asyncio.timeout(5):
            while not front.asked:
                await asyncio.sleep(0)
        path.write_bytes(b"other")
        with pytest.raises(UploadError, match="handed over"):
            await handle

    assert await holdings() == {}


async def test_a_refusal_for_good_is_told_at_once(front: "Front", tmp_path: Path) -> None:
    front.break_down(400, "InvalidUri")

    async with uploader_to(front) as uploader:
        with pytest.raises(RefusedError, match="InvalidUri"):
            await (await uploader.upload_file(written(tmp_path / "f", b"content")))

    assert len(front.asked) == 1
