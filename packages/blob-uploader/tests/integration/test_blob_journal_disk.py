"""A journal on a disk that refuses: full, read-only, or full for a while. Each in a process of its own."""

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_local_azure import Blob

if TYPE_CHECKING:
    from conftest import Holdings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="users, limits and mounts of POSIX systems")

OPENED = """
import asyncio, os, sys
from penstock_blob_uploader import AsyncBlobStorageUploader, JournalError

journal, nobody = sys.argv[1:]


async def main():
    uploader = AsyncBlobStorageUploader("https://acc.blob.example/?sig=x", "box", journal=journal)
    if os.geteuid() == 0 and nobody:
        os.setuid(int(nobody))  # root may write anything
    try:
        await uploader.initialize()
    except JournalError as error:
        print(error)
    else:
        print("opened")
        await uploader.shutdown()


asyncio.run(main())
"""

FULL_FOR_A_WHILE = """
import asyncio, resource, sys
from pathlib import Path
from penstock_blob_uploader import AsyncBlobStorageUploader, JournalError

connection_string, journal, *paths = sys.argv[1:]


def fill_the_disk(full):
    room = Path(journal + "-wal").stat().st_size if full else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))


async def main():
    uploader = AsyncBlobStorageUploader(
        None, "box", connection_string=connection_string, journal=journal, delete_after_upload=True
    )
    async with uploader:
        handles = [await uploader.upload_file(paths[0])]
        fill_the_disk(True)
        try:
            await uploader.upload_file(paths[1])
        except JournalError as error:
            print(error.environment, error, flush=True)
        fill_the_disk(False)
        handles += [await uploader.upload_file(path) for path in paths[2:]]
        for handle in handles:
            await handle


asyncio.run(main())
"""


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


@pytest.fixture
def readable_folder() -> Iterator[Path]:
    """A folder that anybody can read and only root can write; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "sealed").mkdir(mode=0o555)
        yield folder


async def test_a_read_only_journal_is_refused_at_the_start(readable_folder: Path) -> None:
    journal = readable_folder / "journal"
    assert await output_of(sys.executable, "-c", OPENED, str(journal), "") == "opened\n"
    journal.chmod(0o444)

    said = await output_of(sys.executable, "-c", OPENED, str(journal), "65534")

    assert "read-only: name a file that can be written" in said


async def test_a_journal_in_a_folder_that_cannot_be_written_is_refused_at_the_start(readable_folder: Path) -> None:
    said = await output_of(sys.executable, "-c", OPENED, str(readable_folder / "sealed" / "journal"), "65534")

    assert "cannot be made (Permission denied): name a file in a directory that can be written" in said


async def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    process = await asyncio.create_subprocess_exec("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt")
    return await process.wait() == 0


async def test_a_full_disk_is_said_at_the_start_and_loses_nothing(tmp_path: Path) -> None:
    if not await can_mount():
        pytest.skip("needs the right to mount a small file system")
    script = f"""
        mount -t tmpfs -o size=64k none {tmp_path}
        head -c 1M /dev/zero >{tmp_path}/filler 2>/dev/null
        "$@"
        rm {tmp_path}/filler
        "$@"
    """

    said = await output_of(
        "unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-c", OPENED, f"{tmp_path}/journal", ""
    )

    refused, opened = said.splitlines()
    assert "the disk is full: make room" in refused
    assert opened == "opened"


async def test_a_disk_that_is_full_for_a_while_refuses_uploads_only_then(
    blob: Blob, holdings: "Holdings", tmp_path: Path
) -> None:
    paths = [tmp_path / f"f{n}" for n in range(5)]
    for path in paths:
        path.write_bytes(os.urandom(100))
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    said = await output_of(
        sys.executable, "-c", FULL_FOR_A_WHILE, blob.connection_string, str(tmp_path / "journal"), *map(str, paths)
    )

    assert said.startswith("True The journal")
    del hashes["f1"]
    assert await holdings() == hashes
    assert [path.name for path in paths if path.exists()] == ["f1"], "what was refused is left to its owner"
