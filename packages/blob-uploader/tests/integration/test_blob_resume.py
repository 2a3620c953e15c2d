"""A queue with a journal outlives its process: killed at any instant, nothing is lost, doubled or deleted early."""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import ContainerClient, ExponentialRetry

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Created,
    FileChangedError,
    JournalError,
    NotUploadedError,
    UploaderClosedError,
)
from penstock_local_azure import Blob

if TYPE_CHECKING:
    from conftest import Front, Holdings

WITHOUT_SDK_RETRIES = {"retry_policy": ExponentialRetry(retry_total=0)}

KILLED = """
import asyncio, os, signal, sys
from penstock_blob_uploader import AsyncBlobStorageUploader, _queue
from penstock_blob_uploader._put import Putter

instant, connection_string, journal, *paths = sys.argv[1:]
put, delete = Putter.put, _queue.delete


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


async def put_later(self, order):
    await all_queued.wait()
    return die() if instant == "queued" else await put_once(self, order)


async def put_once(self, order):
    outcome = await put(self, order)
    return die() if instant == "committed" else outcome


def delete_and_die(path, expected):
    delete(path, expected)
    die()


Putter.put, all_queued = put_later, asyncio.Event()
match instant:
    case "noted":
        _queue.delete = die
    case "deleted":
        _queue.delete = delete_and_die


async def main():
    uploader = AsyncBlobStorageUploader(
        None, "box", connection_string=connection_string, journal=journal, delete_after_upload=True, max_concurrency=1
    )
    async with uploader:
        await asyncio.gather(*map(uploader.upload_file, paths))
        all_queued.set()
        await asyncio.Event().wait()


asyncio.run(main())
"""


def uploader_to(target: "Front | Blob", **options: object) -> AsyncBlobStorageUploader:
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    return AsyncBlobStorageUploader(**{**settings, "client_options": WITHOUT_SDK_RETRIES, **options})  # type: ignore[arg-type]  # options vary by test


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"f{n}" for n in range(count)]
    for n, path in enumerate(paths):
        path.write_bytes(os.urandom(n * 10))
    return paths


async def killed(instant: str, blob: Blob, journal: Path, paths: Sequence[Path]) -> None:
    """Run an uploader in a process of its own that kills itself at an instant of its first upload."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, instant, blob.connection_string, str(journal), *map(str, paths)
    )
    async with asyncio.timeout(30):
        assert await process.wait() == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
@pytest.mark.parametrize(
    ("instant", "already_there", "left_behind"),
    [("queued", 0, 5), ("committed", 1, 5), ("noted", 1, 5), ("deleted", 1, 4)],
)
async def test_killed_at_any_instant_the_next_run_brings_the_rest_and_leaves_nothing_behind(
    blob: Blob, holdings: "Holdings", tmp_path: Path, instant: str, already_there: int, left_behind: int
) -> None:
    paths = written(tmp_path / "files", 5)
    hashes = {path.name: sha256(path.read_bytes()) for path in paths}

    await killed(instant, blob, tmp_path / "journal", paths)
    there = await holdings()
    assert len(there) == already_there
    assert [path.exists() for path in paths].count(True) == left_behind
    assert {path.name for path in paths if not path.exists()} <= there.keys(), "nothing is deleted early"
    async with uploader_to(blob, journal=tmp_path / "journal") as next_run:
        await next_run.shutdown(drain=None)

    assert await holdings() == hashes
    assert not [path for path in paths if path.exists()]
    assert next_run.statistics().failed == next_run.statistics().kept == 0
    assert next_run.statistics().resumed == 5
    assert next_run.statistics().created == 5 - already_there


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
@pytest.mark.parametrize("instant", ["committed", "noted"])
async def test_a_file_replaced_while_nobody_ran_is_not_deleted_for_the_one_that_was_sent(
    blob: Blob, holdings: "Holdings", tmp_path: Path, instant: str
) -> None:
    (path,) = written(tmp_path / "files", 1)
    await killed(instant, blob, tmp_path / "journal", [path])
    path.write_bytes(b"what came later")

    async with uploader_to(blob, journal=tmp_path / "journal") as next_run:
        await next_run.shutdown(drain=None)

    assert path.read_bytes() == b"what came later"
    assert await holdings() == {"f0": sha256(b"")}
    async with uploader_to(blob, journal=tmp_path / "journal") as run_after:
        assert run_after.statistics().resumed == 0


async def test_what_a_shutdown_leaves_the_next_uploader_brings_in_order(
    front: "Front", far_end: ContainerClient, tmp_path: Path
) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch")
    paths = written(tmp_path / "files", 20)
    async with uploader_to(front, journal=tmp_path / "journal") as first:
        handles = [await first.upload_file(path, app_name="app", metadata={"team": "a"}) for path in paths]
        assert len(await first.shutdown(drain=0.05)) == 20
    with pytest.raises(NotUploadedError, match="the journal resumes it"):
        await handles[0]

    front.mend()
    async with uploader_to(front, journal=tmp_path / "journal", max_concurrency=1) as second:
        await second.shutdown(drain=None)

    brought = [blob async for blob in far_end.list_blobs(include=["metadata"])]
    brought.sort(key=lambda one: one.last_modified)
    assert {one.name for one in brought} == {f"app/{path.name}" for path in paths}
    assert {one.metadata["team"] for one in brought} == {"a"}
    assert second.statistics().created == second.statistics().resumed == 20


async def test_attempts_that_were_spent_stay_spent(front: "Front", tmp_path: Path) -> None:
    front.break_down(503, "ServerBusy")
    (path,) = written(tmp_path / "files", 1)
    async with uploader_to(front, journal=tmp_path / "journal", max_retries=2, retry_delay=0.2) as first:
        await first.upload_file(path)
        await until(lambda: first.statistics().retries == 2)
        await first.shutdown(drain=0)
    asked = len(front.asked)

    async with uploader_to(front, journal=tmp_path / "journal", max_retries=2) as second:
        await second.shutdown(drain=None)

    assert len(front.asked) - asked == 1
    assert second.statistics().failed == 1
    async with uploader_to(front, journal=tmp_path / "journal") as third:
        assert third.statistics().resumed == 0, "what failed for good was told, and is not tried for ever"
    assert path.exists()


async def test_the_time_before_which_the_service_wants_no_more_is_kept_too(front: "Front", tmp_path: Path) -> None:
    (path,) = written(tmp_path / "files", 1)
    front.fail(503, "ServerBusy", Retry_After="2")
    async with uploader_to(front, journal=tmp_path / "journal") as first:
        await first.upload_file(path)
        await until(lambda: first.statistics().retries == 1)
        await first.shutdown(drain=0)

    async with uploader_to(front, journal=tmp_path / "journal") as second:
        await second.shutdown(drain=None)

    busy, again = front.asked
    assert again - busy >= 2
    assert second.statistics().created == 1


async def test_a_file_handed_over_again_while_it_is_queued_is_one_upload(
    front: "Front", blob: Blob, tmp_path: Path
) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch")
    paths = written(tmp_path / "files", 3)
    options = {"journal": tmp_path / "journal", "delete_after_upload": True}
    async with uploader_to(front, **options) as first:
        for path in paths:
            await first.upload_file(path)
        await first.shutdown(drain=0)

    async with uploader_to(front, **options) as second:
        handles = [await second.upload_file(path) for path in paths * 2]
        front.mend()
        outcomes = [await handle for handle in handles]

    assert all(isinstance(outcome, Created) for outcome in outcomes)
    assert second.statistics().created == 3
    assert blob.stats()["requests"]["Put Blob"] == 3
    async with uploader_to(front, **options) as third:
        assert third.statistics().resumed == 0


async def test_a_file_handed_over_again_in_another_state_is_another_upload(front: "Front", tmp_path: Path) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch")
    (path,) = written(tmp_path / "files", 1)

    async with uploader_to(front, retry_delay=0.5) as uploader:
        before = await uploader.upload_file(path)
        await until(lambda: uploader.statistics().paused is not None and uploader.statistics().running == 0)
        path.write_bytes(b"changed")
        after = await uploader.upload_file(path)
        front.mend()
        with pytest.raises(FileChangedError):
            await before
        assert isinstance(await after, Created)


async def test_a_second_uploader_of_a_journal_is_refused_and_may_come_later(blob: Blob, tmp_path: Path) -> None:
    (path,) = written(tmp_path / "files", 1)
    second = uploader_to(blob, journal=tmp_path / "journal")
    async with uploader_to(blob, journal=tmp_path / "journal") as first:
        with pytest.raises(JournalError, match="another uploader uses it"):
            await second.initialize()
        assert isinstance(await (await first.upload_file(path)), Created)

    async with second:
        assert second.statistics().resumed == 0


async def test_a_journal_keeps_full_paths_and_no_secrets(
    front: "Front", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch")
    (path,) = written(tmp_path / "files", 1)
    monkeypatch.chdir(path.parent)
    url = f"{front.address}/penstocklocal?sv=2026-10-06&sig=c2VjcmV0"
    sas = {"connection_string": None, "account_url": url}
    async with uploader_to(front, **sas, journal=tmp_path / "journal") as first:
        await first.upload_file(path.name)
        await first.shutdown(drain=0)
    monkeypatch.chdir(tmp_path)

    assert b"c2VjcmV0" not in (tmp_path / "journal").read_bytes()
    front.mend()
    async with uploader_to(front, journal=tmp_path / "journal") as second:
        await second.shutdown(drain=None)
    assert second.statistics().created == 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("others", [0, 3], ids=["idle", "draining"])
async def test_a_file_handed_over_in_the_moment_of_shutdown_is_queued_or_refused_never_both(
    front: "Front", tmp_path: Path, others: int
) -> None:
    front.break_down(403, "AuthorizationPermissionMismatch")
    path, *waiting = written(tmp_path / "files", 1 + others)
    async with uploader_to(front, journal=tmp_path / "journal") as first:
        for each in waiting:
            await first.upload_file(each)
        handing_over = asyncio.create_task(first.upload_file(path))
        await asyncio.sleep(0)
        left = await first.shutdown(drain=0.2)

        with pytest.raises(UploaderClosedError, match="shut down"):
            await handing_over

    assert sorted(left) == waiting
    async with uploader_to(front, journal=tmp_path / "journal") as second:
        assert second.statistics().resumed == others
        await second.shutdown(drain=0)
