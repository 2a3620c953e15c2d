"""Progress: told in bytes of the file, in order, and of no consequence for the upload."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob.aio import ExponentialRetry

from penstock_blob_uploader import AsyncBlobStorageUploader, Created, Progress

if TYPE_CHECKING:
    from conftest import Front, Holdings

MIB = 1024**2


def uploader_to(target: "Front", **options: object) -> AsyncBlobStorageUploader:
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    retry = {"client_options": {"retry_policy": ExponentialRetry(retry_total=0)}}
    return AsyncBlobStorageUploader(**{**settings, **retry, **options})  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
async def test_every_file_is_told_of_in_bytes_up_to_its_end(front: "Front", tmp_path: Path, gzip: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    sizes = {"empty": 0, "small": 1000, "large": 21 * MIB + 5}
    told: list[Progress] = []

    async with uploader_to(front, gzip=gzip, progress=told.append) as uploader:
        for name, size in sizes.items():
            await (await uploader.upload_file(written(tmp_path / name, os.urandom(size)), app_name="app"))
            assert told[-1] == Progress(path=tmp_path / name, blob_name=f"app/{name}", sent=size, length=size)

    by_name = {name: [each.sent for each in told if each.path.name == name] for name in sizes}
    assert {name: len(sent) for name, sent in by_name.items()} == {"empty": 1, "small": 1, "large": 6}
    assert by_name["large"] == sorted(by_name["large"])


async def test_another_attempt_counts_anew(front: "Front", tmp_path: Path) -> None:
    told: list[Progress] = []
    front.fail(500, "InternalError", query="comp=blocklist")
    path = written(tmp_path / "f", os.urandom(9 * MIB))

    async with uploader_to(front, progress=told.append) as uploader:
        await (await uploader.upload_file(path))

    sent = [each.sent for each in told]
    assert len(sent) == 6
    assert sent[2] == sent[5] == 9 * MIB
    assert sent[3] < 9 * MIB


async def test_a_callback_that_raises_is_told_to_the_loop_and_harms_nothing(
    front: "Front", holdings: "Holdings", tmp_path: Path
) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    def broken(progress: Progress) -> None:
        raise ZeroDivisionError(progress.blob_name)

    async with uploader_to(front, progress=broken) as uploader:
        handles = [await uploader.upload_file(written(tmp_path / f"f{n}", bytes(n))) for n in range(3)]
        outcomes = [await handle for handle in handles]

    assert all(isinstance(outcome, Created) for outcome in outcomes)
    assert len(await holdings()) == 3
    assert sorted(str(fault["exception"]) for fault in faults) == ["f0", "f1", "f2"]


async def test_a_template_names_the_files_that_get_no_name(
    front: "Front", holdings: "Holdings", tmp_path: Path
) -> None:
    path = written(tmp_path / "report.pdf", b"x")
    os.utime(path, (1_795_651_199, 1_795_651_199))

    async with uploader_to(front, name_template="{app}/{date}/{name}") as uploader:
        await (await uploader.upload_file(path, app_name="feedback"))
        await (await uploader.upload_file(path, "chosen.pdf", app_name="feedback"))

    assert set(await holdings()) == {"feedback/2026-11-25/report.pdf", "feedback/chosen.pdf"}
