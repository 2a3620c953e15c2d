"""The public types, as a type checker must see them; never run."""

from pathlib import Path
from typing import assert_never, assert_type

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.identity.aio import DefaultAzureCredential

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Conflict,
    Created,
    Outcome,
    Overwrite,
    Progress,
    Replaced,
    Same,
    Statistics,
    Upload,
    UploadError,
)


def show(progress: Progress) -> None:
    assert_type(progress.path, Path)
    assert_type(progress.sent, int)
    progress.sent = 0  # type: ignore[misc]  # what was told does not change


async def upload(path: Path, mode: Overwrite) -> None:
    async with AsyncBlobStorageUploader("acc", "box", journal="journal", progress=show, overwrite=mode) as uploader:
        handle = await uploader.upload_file(path, app_name="app", gzip=True, overwrite="if-different")
        assert_type(handle, Upload)
        assert_type(await handle, Outcome)
        assert_type(await uploader.put(str(path), "name"), Outcome)
        assert_type(uploader.statistics(), Statistics)
        assert_type(await uploader.shutdown(drain=None), list[Path])


def tell(outcome: Outcome) -> str:
    match outcome:
        case Created() | Same() | Replaced():
            return f"{outcome.blob_name} {outcome.length} {outcome.sha256}"
        case _:
            assert_never(outcome)


def explain(error: UploadError) -> None:
    assert_type(error.permanent, bool)
    assert_type(error.environment, bool)
    assert_type(error.retry_after, float | None)
    if isinstance(error, Conflict):
        assert_type(error.sha256, str | None)


AsyncBlobStorageUploader("acc", "box", credential=DefaultAzureCredential())
AsyncBlobStorageUploader("acc", "box", credential=AzureSasCredential("sig"))
AsyncBlobStorageUploader("acc", "box", credential=AzureNamedKeyCredential("acc", "key"))
AsyncBlobStorageUploader("acc", "box", overwrite=True)  # type: ignore[arg-type]  # a mode has a name
AsyncBlobStorageUploader("acc", "box", 3, 1.0, "connection string")  # type: ignore[call-arg]  # options have names
