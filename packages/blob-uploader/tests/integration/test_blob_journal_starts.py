"""Two processes that start on one journal at the same moment: one gets it, never none, never both."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock_blob_uploader._intents import Queued
from penstock_blob_uploader._journal_file import JournalFile
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._reading import Snapshot

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there, both may be refused")

BOX = "https://acc.blob.example/box"
STARTS = 20

STARTER = """
import functools, sqlite3, sys
from pathlib import Path
from penstock_blob_uploader import JournalError
from penstock_blob_uploader._journal_file import JournalFile

def step():
    print("step", flush=True)
    sys.stdin.readline()


class Stepping(sqlite3.Connection):
    def execute(self, *arguments):
        step()
        return super().execute(*arguments)

    def close(self):
        step()
        super().close()


if sys.argv[2:] == ["stepping"]:
    sqlite3.connect = functools.partial(sqlite3.connect, factory=Stepping)
print("ready", flush=True)
for line in sys.stdin:
    try:
        file = JournalFile(Path(line.rstrip("\\n")), sys.argv[1])
    except JournalError as error:
        print("refused" if "another uploader uses it" in str(error) else error, flush=True)
    else:
        print("opened with", len(file.read()), flush=True)
        sys.stdin.readline()
        file.close()
        print("closed", flush=True)
"""


@contextmanager
def starter(*how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that opens each journal it is told, and keeps it until it is told more.

    If it is "stepping", it says so before each thing that it asks of the database, and waits to be told to go on.
    """
    command = [sys.executable, "-c", STARTER, BOX, *how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert said(process) == "ready"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def new(path: Path) -> None:
    """There is nothing yet."""
    path.parent.mkdir()


def left_by_a_killed_process(path: Path) -> None:
    """What the last owner wrote stands in the write-ahead log alone."""
    place = path.parent.with_name("written")
    file = JournalFile(place / path.name, BOX)
    file.write([Queued(1, Order(path=path, blob_name="a", snapshot=Snapshot(size=1, mtime_ns=1, inode=1)))])
    shutil.copytree(place, path.parent)
    file.close()
    shutil.rmtree(place)


def test_one_of_two_that_start_in_step_gets_the_journal(tmp_path: Path) -> None:
    with starter("stepping") as one, starter("stepping") as other:
        heard = {one: "step", other: "step"}
        for process in heard:
            tell(process, str(tmp_path / "journal"))
            heard[process] = said(process)
        while stepping := [process for process, answer in heard.items() if answer == "step"]:
            for process in stepping:
                tell(process, "go on")
                heard[process] = said(process)

    assert sorted(heard.values()) == ["opened with 0", "refused"]


@pytest.mark.parametrize(("prepare", "holds"), [(new, 0), (left_by_a_killed_process, 1)], ids=["new", "left"])
def test_one_of_two_that_start_at_once_gets_the_journal(
    tmp_path: Path, prepare: Callable[[Path], None], holds: int
) -> None:
    outcomes: Counter[tuple[str, ...]] = Counter()
    with starter() as one, starter() as other:
        for n in range(STARTS):
            path = tmp_path / f"start-{n}" / "journal"
            prepare(path)
            tell(one, str(path))
            tell(other, str(path))
            answers = {process: said(process) for process in (one, other)}
            outcomes[tuple(sorted(answers.values()))] += 1
            for process in (process for process, answer in answers.items() if answer.startswith("opened")):
                tell(process, "close")
                assert said(process) == "closed"

    assert outcomes == {(f"opened with {holds}", "refused"): STARTS}
