"""Files that do not hold still, have odd names or are no files: a clear outcome each, and the rest is unaffected."""

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import ExponentialRetry

from penstock_blob_uploader import (
    AsyncBlobStorageUploader,
    Conflict,
    Created,
    FileChangedError,
    FileUnreadableError,
    FileVanishedError,
    InvalidBlobNameError,
    NotAFileError,
    SourceError,
)
from penstock_local_azure import Blob, SlowBody, StorageError

if TYPE_CHECKING:
    from conftest import Holdings

MIB = 1024**2
WITHOUT_SDK_RETRIES = {"retry_policy": ExponentialRetry(retry_total=0)}

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes, symbolic links and permissions")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes, and /proc")


def uploader_to(blob: Blob, **options: object) -> AsyncBlobStorageUploader:
    settings = {"connection_string": blob.connection_string, "client_options": WITHOUT_SDK_RETRIES, "retry_delay": 0.1}
    return AsyncBlobStorageUploader(None, "box", **{**settings, **options})  # type: ignore[arg-type]  # options vary


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def others(directory: Path) -> dict[str, bytes]:
    """Write files that hold still, and return what they hold."""
    contents = {f"other-{n}": os.urandom(1000) for n in range(5)}
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return contents


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def asked(blob: Blob, operation: str) -> int:
    """How often the stand-in was asked for this."""
    counted: Mapping[str, int] = blob.stats()["requests"]
    return counted.get(operation, 0)


def is_there(path: Path) -> bool:
    """Whether there is anything under a path, be it a link that leads nowhere."""
    return os.path.lexists(path)


# --- Files that do not hold still -----------------------------------------------------------------------------------


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rewrite(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(100))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def vanish(path: Path) -> None:
    path.unlink()


def lose_its_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def turn_into_another(path: Path) -> None:
    written(path.with_name("another"), path.read_bytes()).replace(path)


def turn_into_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def turn_into_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def turn_into_a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def turn_unreadable(path: Path) -> None:
    """Reading it is an input/output error, for root as well."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


CHANGES = [
    (grow, FileChangedError),
    (shrink, FileChangedError),
    (rewrite, FileChangedError),
    (turn_into_another, FileChangedError),
    (vanish, FileVanishedError),
    pytest.param(lose_its_directory, FileVanishedError, marks=needs_posix),
    pytest.param(turn_into_a_directory, NotAFileError, marks=needs_posix),
    pytest.param(turn_into_a_pipe, NotAFileError, marks=needs_posix),
    pytest.param(turn_into_a_loop, FileUnreadableError, marks=needs_posix),
]
WHEN_IT_IS_READ = [*CHANGES, pytest.param(turn_unreadable, FileUnreadableError, marks=needs_linux)]
Change = Callable[[Path], None]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A path, in a directory of its own, for the file in question."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "odd"


@pytest.mark.parametrize("size", [1000, 5 * MIB])
@pytest.mark.parametrize(("change", "error"), WHEN_IT_IS_READ)
async def test_changed_while_queued_it_fails_and_the_rest_arrives(
    blob: Blob, holdings: "Holdings", tmp_path: Path, odd: Path, change: Change, error: type[SourceError], size: int
) -> None:
    contents = others(tmp_path)
    written(odd, os.urandom(size))
    blob.faults.add(StorageError("ServerBusy"), on="Put Blob", nth=1)

    async with uploader_to(blob, max_concurrency=1, delete_after_upload=True) as uploader:
        first, *rest = [await uploader.upload_file(tmp_path / name) for name in contents]
        handle = await uploader.upload_file(odd)
        change(odd)
        with pytest.raises(error) as failure:
            await handle
        outcomes = [await other for other in (first, *rest)]

    assert failure.value.permanent
    assert not failure.value.environment
    assert str(odd) in str(failure.value)
    assert all(isinstance(outcome, Created) for outcome in outcomes)
    assert await holdings() == {name: sha256(content) for name, content in contents.items()}
    assert uploader.statistics().failed == 1


@pytest.mark.parametrize(("change", "error"), CHANGES)
async def test_changed_while_its_blocks_are_sent_it_is_never_committed(
    blob: Blob, holdings: "Holdings", tmp_path: Path, odd: Path, change: Change, error: type[SourceError]
) -> None:
    contents = others(tmp_path)
    written(odd, os.urandom(21 * MIB))
    blob.faults.add(SlowBody(16.0 * MIB), on="Put Block")

    async with uploader_to(blob, delete_after_upload=True) as uploader:
        handle = await uploader.upload_file(odd)
        rest = [await uploader.upload_file(tmp_path / name) for name in contents]
        await until(lambda: asked(blob, "Put Block"))  # four are sent before the last ones are read
        change(odd)
        with pytest.raises(error) as failure:
            await handle
        for other in rest:
            await other

    assert failure.value.permanent
    assert asked(blob, "Put Block List") == 0
    assert await holdings() == {name: sha256(content) for name, content in contents.items()}


@pytest.mark.parametrize(("change", "error"), CHANGES)
async def test_changed_while_its_only_request_is_sent_it_arrives_as_it_was_and_what_is_there_now_stays(
    blob: Blob, holdings: "Holdings", odd: Path, change: Change, error: type[SourceError]
) -> None:
    content = os.urandom(2 * MIB)
    written(odd, content)
    blob.faults.add(SlowBody(8.0 * MIB), on="Put Blob")

    async with uploader_to(blob, delete_after_upload=True) as uploader:
        handle = await uploader.upload_file(odd)
        await until(lambda: asked(blob, "Put Blob"))
        change(odd)
        still_there = is_there(odd)
        outcome = await handle

    assert isinstance(outcome, Created)
    assert await holdings() == {"odd": sha256(content)}
    assert is_there(odd) == still_there, f"{error.__name__} is why it is not deleted"


@needs_posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
async def test_a_file_whose_permission_is_withdrawn_fails_alone(
    blob: Blob, holdings: "Holdings", tmp_path: Path, odd: Path
) -> None:
    contents = others(tmp_path)
    written(odd, b"x").chmod(0)

    async with uploader_to(blob) as uploader:
        handle = await uploader.upload_file(odd)
        for name in contents:
            await uploader.upload_file(tmp_path / name)
        with pytest.raises(FileUnreadableError, match="Permission denied"):
            await handle

    assert set(await holdings()) == set(contents)


# --- What is no file ------------------------------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Path.mkdir, NotAFileError),
        (os.mkfifo, NotAFileError),
        (lambda path: path.symlink_to(path.name), FileUnreadableError),
        (lambda path: path.symlink_to("nothing"), FileVanishedError),
        (lambda path: path.symlink_to("/dev/null"), NotAFileError),
        (lambda _: None, FileVanishedError),
    ],
    ids=["directory", "pipe", "loop", "dangling link", "device", "nothing"],
)
async def test_what_is_no_file_is_refused_at_once_and_the_rest_arrives(
    blob: Blob,
    holdings: "Holdings",
    tmp_path: Path,
    odd: Path,
    make: Callable[[Path], object],
    error: type[SourceError],
) -> None:
    contents = others(tmp_path)
    make(odd)

    async with uploader_to(blob) as uploader:
        with pytest.raises(error):
            await uploader.upload_file(odd)
        with pytest.raises(error):
            await uploader.put(odd, "odd")
        for name in contents:
            await uploader.upload_file(tmp_path / name)

    assert set(await holdings()) == set(contents)


# --- Names ----------------------------------------------------------------------------------------------------------

CHARACTERS = [*map(chr, range(1, 0x180)), *"\u200b\u2028\u20ac\ud7ff\ue000\ufeff\ufffd\ufffe\uffff\U0001f642\U0010ffff"]
ILLEGAL = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\\", "\ufffe", "\uffff"}


def encoded(character: str) -> str:
    return "".join(f"%{octet:02X}" for octet in character.encode())


@needs_linux
async def test_a_file_may_have_any_name_and_each_name_stands_for_its_file(
    blob: Blob, holdings: "Holdings", tmp_path: Path
) -> None:
    names = {f"<{c}>": f"<{encoded(c) if c in ILLEGAL else c}>" for c in CHARACTERS if c != "/"}
    names |= {"dots..": "dots%2E%2E", "...": "%2E%2E%2E", " ": " ", "-": "-", "%41": "%41"}
    paths = [written(tmp_path / name, os.urandom(20)) for name in names]
    bytewise = written(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")), b"no UTF-8")

    async with uploader_to(blob, max_concurrency=32) as uploader:
        for path in (*paths, bytewise):
            await uploader.upload_file(path)
        await uploader.shutdown(drain=None)

    expected = {names[path.name]: sha256(path.read_bytes()) for path in paths}
    assert await holdings() == {**expected, "%FF%FE": sha256(b"no UTF-8")}


async def test_a_name_you_choose_is_taken_as_it_is_or_refused(blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"x")
    refused: set[str] = set()

    async with uploader_to(blob, max_concurrency=32) as uploader:
        for character in ("\0", "\udc80", *CHARACTERS):
            try:
                await uploader.upload_file(path, f"<{character}>")
            except InvalidBlobNameError:
                refused.add(character)
        await uploader.shutdown(drain=None)

    assert refused == ILLEGAL | {"\udc80"}
    assert set(await holdings()) == {f"<{character}>" for character in CHARACTERS if character not in ILLEGAL}


@needs_posix
async def test_two_files_whose_names_become_the_same_are_a_conflict_and_not_one_blob(
    blob: Blob, holdings: "Holdings", tmp_path: Path
) -> None:
    plain, odd = written(tmp_path / "a%5Cb", b"plain"), written(tmp_path / "a\\b", b"odd")

    async with uploader_to(blob, max_concurrency=1) as uploader:
        first, second = [await uploader.upload_file(path) for path in (plain, odd)]
        assert isinstance(await first, Created)
        with pytest.raises(Conflict):
            await second

    assert await holdings() == {"a%5Cb": sha256(b"plain")}


@needs_posix
async def test_paths_of_a_thousand_characters_and_more_arrive(blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*("d" * 250 for _ in range(5)))
    deep.mkdir(parents=True)
    paths = [written(deep / f"{'n' * 250}{n}", bytes([n])) for n in range(3)]

    async with uploader_to(blob) as uploader:
        for path in paths:
            await uploader.upload_file(path)
        await (await uploader.upload_file(paths[0], "x/" * 200 + "y" * 624))
        with pytest.raises(InvalidBlobNameError, match="1025 characters"):
            await uploader.upload_file(paths[0], "y" * 1025)

    assert len(str(paths[0])) > 1500
    assert set(await holdings()) == {*(path.name for path in paths), "x/" * 200 + "y" * 624}
