"""The command `penstock-upload`, as a process: what it brings, prints and returns."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock_local_azure import Blob, SlowBody, StorageError

if TYPE_CHECKING:
    from conftest import Holdings

COMMAND = (sys.executable, "-m", "penstock_blob_uploader")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, pipes and symbolic links")


@dataclass(frozen=True)
class Ended:
    status: int | None
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def outcomes(self) -> dict[str, str]:
        """How it ended with each blob, by its name."""
        return {line["blob"]: line["outcome"] for line in self.lines if line["kind"] == "file"}


@asynccontextmanager
async def started(*arguments: object, cwd: Path, **environment: str) -> AsyncIterator[Process]:
    """Start the command, and be rid of it in the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *map(str, arguments), cwd=cwd, env={**inherited, **environment}, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Process) -> Ended:
    """Wait for a process to end."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Ended(process.returncode, (out or b"").decode(), err.decode())


async def upload(blob: Blob, cwd: Path, *arguments: object, **environment: str) -> Ended:
    """Run the command to its end, by default to the container that is there."""
    where = {"AZURE_STORAGE_CONNECTION_STRING": blob.connection_string, "AZURE_STORAGE_CONTAINER": "box"}
    async with started(*arguments, cwd=cwd, **{**where, **environment}) as process:
        return await ended(process)


def puts(blob: Blob) -> int:
    """How many blobs the stand-in was asked to write."""
    counted: Mapping[str, int] = blob.stats()["requests"]
    return counted.get("Put Blob", 0)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory to work in, with a file, and a directory of two."""
    (tmp_path / "logs" / "old").mkdir(parents=True)
    (tmp_path / "note.txt").write_bytes(b"note")
    (tmp_path / "logs" / "new.log").write_bytes(b"new")
    (tmp_path / "logs" / "old" / ".hidden").write_bytes(b"hidden")
    return tmp_path


async def test_files_and_what_is_in_directories_arrive_under_their_paths(
    blob: Blob, holdings: "Holdings", files: Path
) -> None:
    run = await upload(blob, files, "note.txt", "logs")

    assert run.status == 0
    assert set(await holdings()) == {"note.txt", "logs/new.log", "logs/old/.hidden"}
    first, *created, last = run.out.splitlines()
    assert first == "3 files, 0.0 MB"
    assert set(created) == {
        "created   note.txt (4 bytes)",
        "created   logs/new.log (3 bytes)",
        "created   logs/old/.hidden (6 bytes)",
    }
    assert last.startswith("3 created; 0.0 MB sent in ")
    assert run.err == ""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["logs/."], {"new.log", "old/.hidden"}),
        (["logs/../logs/old"], {"old/.hidden"}),
        (["logs", "--prefix", "app/7/"], {"app/7/logs/new.log", "app/7/logs/old/.hidden"}),
        (["logs", "--template", "{folder}-{name}"], {"logs-new.log", "old-.hidden"}),
        (["logs/new.log", "--template", "{app}/{stem}", "--prefix", "a"], {"a/new"}),
        (["logs/new.log", "./logs/new.log"], {"new.log"}),
    ],
)
async def test_names_follow_from_how_the_paths_are_given(
    blob: Blob, holdings: "Holdings", files: Path, options: list[str], names: set[str]
) -> None:
    run = await upload(blob, files, *options)

    assert run.status == 0
    assert set(await holdings()) == names


async def test_json_lines_tell_of_each_file_and_of_all(blob: Blob, holdings: "Holdings", files: Path) -> None:
    run = await upload(blob, files, "note.txt", "logs/new.log", "gone", "--json")

    begin, *told, end = run.lines
    hashes = await holdings()
    by_blob = {line["blob"]: line for line in told}
    assert all(line["v"] == 1 for line in run.lines)
    assert begin == {"v": 1, "kind": "begin", "files": 3, "bytes": 7}
    assert by_blob["note.txt"] == {
        "v": 1,
        "kind": "file",
        "path": str(files / "note.txt"),
        "blob": "note.txt",
        "outcome": "created",
        "bytes": 4,
        "sha256": hashes["note.txt"],
    }
    assert by_blob["gone"]["outcome"] == "failed"
    assert by_blob["gone"]["error"] == "FileVanishedError"
    assert by_blob["gone"]["permanent"] is True
    assert (end["kind"], end["status"], end["created"], end["failed"], end["sent_bytes"]) == ("end", 1, 2, 1, 7)
    assert run.status == 1


async def test_again_it_sends_nothing_that_is_there(blob: Blob, files: Path) -> None:
    await upload(blob, files, "logs")
    (files / "logs" / "later.log").write_bytes(b"later")

    again = await upload(blob, files, "logs", "--json")

    assert again.status == 0
    assert again.outcomes == {"logs/new.log": "same", "logs/old/.hidden": "same", "logs/later.log": "created"}


async def test_another_content_stays_unless_told_otherwise(blob: Blob, holdings: "Holdings", files: Path) -> None:
    await upload(blob, files, "note.txt")
    before = await holdings()
    (files / "note.txt").write_bytes(b"other")

    refused = await upload(blob, files, "note.txt", "--json")
    kept = await holdings()
    replaced = await upload(blob, files, "note.txt", "--overwrite", "if-different", "--json")

    assert (refused.status, refused.outcomes, kept) == (1, {"note.txt": "failed"}, before)
    assert refused.lines[1]["error"] == "Conflict"
    assert (replaced.status, replaced.outcomes) == (0, {"note.txt": "replaced"})
    assert await holdings() != before


async def test_gzip_and_delete_do_what_they_say(blob: Blob, far_end: Any, files: Path) -> None:
    run = await upload(blob, files, "logs", "--gzip", "--delete", "--concurrency", 1)

    properties = await far_end.get_blob_client("logs/new.log").get_blob_properties()
    assert run.status == 0
    assert properties.content_settings.content_encoding == "gzip"
    assert not [path for path in (files / "logs").rglob("*") if path.is_file()]
    assert "2 deleted" in run.out


@needs_posix
async def test_what_is_no_file_fails_alone(blob: Blob, holdings: "Holdings", files: Path) -> None:
    logs = files / "logs"
    (logs / "loop").symlink_to("loop")
    (logs / "dangling").symlink_to("nothing")
    (logs / "around").symlink_to(".")
    (logs / "linked").symlink_to(files / "note.txt")
    os.mkfifo(logs / "pipe")

    run = await upload(blob, files, "logs", "--json")

    assert run.status == 1
    assert set(await holdings()) == {"logs/new.log", "logs/old/.hidden", "logs/linked"}
    errors = {Path(line["path"]).name: line.get("error") for line in run.lines if line.get("outcome") == "failed"}
    assert errors == {"loop": "FileUnreadableError", "dangling": "FileVanishedError", "pipe": "NotAFileError"}
    assert [line["path"] for line in run.lines if line.get("outcome") == "skipped"] == [str(logs / "around")]


@needs_posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
async def test_a_directory_that_may_not_be_read_fails_alone(blob: Blob, holdings: "Holdings", files: Path) -> None:
    (files / "logs" / "old").chmod(0)

    run = await upload(blob, files, "logs")

    assert run.status == 1
    assert "The directory" in run.out
    assert set(await holdings()) == {"logs/new.log"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "at least one PATH"),
        (["note.txt", "--concurrency", "0"], "a number from 1"),
        (["note.txt", "--overwrite", "sometimes"], "sometimes"),
        (["note.txt", "--template", "{nope}"], "--template has no field 'nope'"),
        (["note.txt", "--template", "{name}", "--prefix", "x"], "--template says {app}"),
        (["note.txt", "--prefix", "x//y"], "empty path segment"),
        (["note.txt", "--container", "B"], "no container name (--container"),
        (["note.txt", "--account", "no/account"], "neither an account name"),
        (["note.txt", "logs/new.log", "--template", "{app}{folder}/one{suffix}"], "{name} or {stem}"),
        (["logs", "again/logs"], "would both be named logs/new.log"),
    ],
)
async def test_a_wrong_call_is_explained_and_sends_nothing(
    blob: Blob, files: Path, arguments: list[str], said: str
) -> None:
    (files / "again" / "logs").mkdir(parents=True)
    (files / "again" / "logs" / "new.log").touch()

    run = await upload(blob, files, *arguments)

    assert run.status == 2
    assert said in run.err
    assert run.err.count("\n") == 1
    assert run.out == ""
    assert blob.stats()["requests"] == {}


async def test_without_an_account_it_says_how_to_name_one(blob: Blob, files: Path) -> None:
    run = await upload(blob, files, "note.txt", AZURE_STORAGE_CONNECTION_STRING="")

    assert run.status == 2
    assert "give --account, or set AZURE_STORAGE_ACCOUNT" in run.err


async def test_a_broken_setup_ends_it_with_the_remedy(blob: Blob, holdings: "Holdings", files: Path) -> None:
    broken = await upload(blob, files, "logs", "--container", "fresh", "--json")
    mended = await upload(blob, files, "logs", "--container", "fresh", "--create-container", "--json")

    assert broken.status == 3
    assert set(broken.outcomes.values()) == {"left"}
    assert broken.lines[-1]["left"] == 2
    assert "ContainerNotFound" in broken.lines[-1]["remedy"]
    assert "give --create-container" in broken.err
    assert (mended.status, set(mended.outcomes.values())) == (0, {"created"})
    assert await holdings() == {}, "the other container has nothing to do with it"


async def test_a_setup_that_breaks_on_the_way_is_waited_for(blob: Blob, holdings: "Holdings", files: Path) -> None:
    blob.faults.add(StorageError("AuthorizationFailure"), on="Put Blob", nth=2)

    run = await upload(blob, files, "note.txt", "logs", "--concurrency", 1)

    assert run.status == 0
    assert len(await holdings()) == 3


async def test_a_journal_that_is_no_journal_ends_it_before_anything_is_sent(blob: Blob, files: Path) -> None:
    run = await upload(blob, files, "logs", "--journal", "note.txt")

    assert run.status == 3
    assert "note.txt" in run.err
    assert blob.stats()["requests"] == {}
    assert (files / "note.txt").read_bytes() == b"note"


CANARY = "canary7f3a"


@pytest.mark.parametrize(
    "where",
    [
        {"AZURE_STORAGE_ACCOUNT": "{url}?sv=2022-11-02&sp=c&sig=canary7f3a", "AZURE_STORAGE_CONNECTION_STRING": ""},
        {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint={url};AccountName=penstocklocal;AccountKey=canary7f3a"},
        {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=canary7f3a;AccountName"},
        {"AZURE_STORAGE_ACCOUNT": "https:/canary7f3a", "AZURE_STORAGE_CONNECTION_STRING": ""},
    ],
    ids=["SAS", "key", "connection string", "URL"],
)
async def test_secrets_are_never_printed(blob: Blob, files: Path, where: dict[str, str]) -> None:
    settings = {name: value.format(url=blob.account_url) for name, value in where.items()}

    run = await upload(blob, files, "logs", "--json", "--verbose", **settings)

    assert run.status in (2, 3)
    assert run.err
    assert CANARY not in run.out + run.err


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def many(directory: Path) -> set[str]:
    """Write 40 files; return their names."""
    directory.mkdir()
    for n in range(40):
        (directory / f"f{n}").write_bytes(bytes(10_000))
    return {f"many/f{n}" for n in range(40)}


@needs_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_says_what_is_left_and_run_again_brings_it(
    blob: Blob, holdings: "Holdings", files: Path, number: signal.Signals
) -> None:
    names = many(files / "many")
    where = {"AZURE_STORAGE_CONNECTION_STRING": blob.connection_string, "AZURE_STORAGE_CONTAINER": "box"}
    blob.faults.add(SlowBody(50_000.0), on="Put Blob")
    async with started("many", "--json", "--concurrency", 2, cwd=files, **where) as process:
        await until(lambda: puts(blob) > 5)
        process.send_signal(number)
        first = await ended(process)
    blob.faults.clear()
    arrived = set(await holdings())

    second = await upload(blob, files, "many", "--json")

    left = {name for name, outcome in first.outcomes.items() if outcome == "left"}
    assert first.status == 128 + number
    assert first.lines[-1]["left"] == len(left) > 0
    assert names - left <= arrived
    assert second.status == 0
    assert set(await holdings()) == names == set(second.outcomes)
    assert {name for name, outcome in second.outcomes.items() if outcome == "same"} == arrived


@needs_posix
async def test_a_journal_goes_on_without_being_told_the_files_again(
    blob: Blob, holdings: "Holdings", files: Path
) -> None:
    names = many(files / "many")
    where = {"AZURE_STORAGE_CONNECTION_STRING": blob.connection_string, "AZURE_STORAGE_CONTAINER": "box"}
    blob.faults.add(SlowBody(20_000.0), on="Put Blob")
    async with started("many", "--journal", "j", "--delete", "--concurrency", 1, cwd=files, **where) as process:
        await until(lambda: puts(blob) > 5)
        process.send_signal(signal.SIGINT)
        first = await ended(process)
    blob.faults.clear()

    second = await upload(blob, files, "--journal", "j", "--json")

    assert first.status == 130
    assert "Run the same command again" in first.out
    assert second.status == 0
    assert second.lines[-1]["created"] + second.lines[-1]["same"] > 30
    assert set(await holdings()) == names
    assert list((files / "many").iterdir()) == []


@needs_posix
async def test_it_ends_when_nobody_reads_its_lines(blob: Blob, files: Path) -> None:
    many(files / "many")
    where = {"AZURE_STORAGE_CONNECTION_STRING": blob.connection_string, "AZURE_STORAGE_CONTAINER": "box"}
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, **where}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "many", cwd=files, env=environment, stdout=writing, stderr=PIPE
    )
    os.close(writing)

    run = await ended(process)

    assert run.status == 141
    assert run.err == ""


@needs_posix
async def test_a_terminal_gets_one_line_that_is_redrawn(blob: Blob, files: Path) -> None:
    many(files / "many")
    (files / "many" / "evil\x1b[2J").symlink_to("nothing")
    controller, terminal = os.openpty()
    where = {"AZURE_STORAGE_CONNECTION_STRING": blob.connection_string, "AZURE_STORAGE_CONTAINER": "box"}
    blob.faults.add(SlowBody(50_000.0), on="Put Blob")
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "many", cwd=files, env={**os.environ, **where}, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    drawn = await asyncio.to_thread(read_all, controller)

    assert await process.wait() == 1
    lines = [line for line in drawn.replace("\r\n", "\n").split("\n") if line]
    assert len(lines) == 2, "all but what stays is drawn over"
    assert "failed" in lines[0]
    assert "evil\\x1b[2J" in lines[0]
    assert " of 41 files, " in drawn
    assert lines[1].rpartition("\x1b[K")[2].startswith("40 created, 1 failed; 0.4 MB sent in ")


def read_all(controller: int) -> str:
    """Read a terminal until nobody has it open any more."""
    drawn = b""
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux says so instead of ending the file
            part = b""
        if not part:
            os.close(controller)
            return drawn.decode()
        drawn += part
