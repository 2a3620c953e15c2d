"""What a person at a terminal sees, and when a run gives up on a setup."""

import asyncio
import io
import time
from pathlib import Path

import pytest

from penstock_blob_uploader import AsyncBlobStorageUploader, Created, FileVanishedError, Progress, Statistics
from penstock_blob_uploader._display import PlainLines, RedrawnLine
from penstock_blob_uploader._found_files import find_files
from penstock_blob_uploader._run_report import Ended
from penstock_blob_uploader._upload_run import UploadRun
from penstock_local_azure import Blob, StorageError

PAUSED = Statistics(paused="Uploading /f (1 bytes) as f: HTTP 403 AuthorizationFailure: do this.")


class Terminal(io.StringIO):
    def line(self) -> str:
        """What stands in the line that is redrawn."""
        return self.getvalue().rpartition("\x1b[K")[2]


def progress(sent: int, length: int, name: str = "big.bin") -> Progress:
    return Progress(path=Path("/", name), blob_name=name, sent=sent, length=length)


def arrived(name: str, length: int) -> Ended:
    outcome = Created(blob_name=name, length=length, sha256="")
    return Ended(path=Path("/", name), blob_name=name, ending="created", outcome=outcome)


def test_the_line_tells_files_bytes_rate_time_left_and_the_file_that_takes_longest() -> None:
    terminal, now = Terminal(), [0.0]
    line = RedrawnLine(terminal, clock=lambda: now[0])
    line.begin(3, 50_000_000)
    now[0] = 10.0
    line.end(arrived("a", 5_000_000), 5_000_000)
    line.advance(progress(1_000_000, 2_000_000, "small.bin"))
    line.advance(progress(4_000_000, 43_000_000))
    line.tick(Statistics())

    assert terminal.line() == "1 of 3 files, 10.0 of 50.0 MB, 1.0 MB/s, 0:40 left, 9 % of big.bin"


def test_a_file_that_is_sent_again_counts_once() -> None:
    terminal = Terminal()
    line = RedrawnLine(terminal, clock=lambda: 0.0)
    line.begin(1, 9_000_000)
    line.advance(progress(8_000_000, 9_000_000))
    line.advance(progress(4_000_000, 9_000_000))
    line.tick(Statistics())
    assert terminal.line().startswith("0 of 1 file, 4.0 of 9.0 MB")

    line.end(arrived("big.bin", 9_000_000), 9_000_000)
    line.tick(Statistics())
    assert terminal.line() == "1 of 1 file, 9.0 of 9.0 MB"


def test_the_line_says_what_it_waits_for() -> None:
    terminal = Terminal()
    line = RedrawnLine(terminal, clock=lambda: 0.0)
    line.tick(PAUSED)

    assert terminal.line().startswith("waiting: Uploading /f")


def test_a_failure_stays_above_the_line_and_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    line = RedrawnLine(terminal, clock=lambda: 0.0)
    line.begin(2, 0)
    line.end(Ended(path=Path("/f"), ending="failed", error=FileVanishedError("/\x1b[2J\n is gone.")), 0)
    line.advance(progress(1, 1, "x" * 100))
    line.tick(Statistics())

    assert r"failed    /\x1b[2J\n is gone." in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
    assert len(terminal.line()) == 29


async def test_a_setup_that_broke_and_is_not_mended_within_a_minute_ends_the_run(blob: Blob, tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"f{n}").write_bytes(b"x")
    found, unusable = find_files([f"{tmp_path}/."], prefix=None, template=None)
    uploader = AsyncBlobStorageUploader(
        None, "box", connection_string=blob.connection_string, max_concurrency=1, retry_delay=60.0
    )

    async with uploader:
        await uploader.put(found[0].path, "f0")
        blob.faults.add(StorageError("AuthorizationFailure"), on="Put Blob", nth=3)
        run = UploadRun(uploader, PlainLines(io.StringIO()), clock=lambda: 1000 * time.monotonic())
        summary = await run.bring(found, unusable, asyncio.get_running_loop().create_future())

    assert summary.status == 3
    assert "AuthorizationFailure" in (summary.remedy or "")
    assert (summary.created + summary.same, summary.left, summary.failed) == (2, 3, 0)
