"""What is sent is what is hashed, and a file that is not as it was handed over is not sent."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock_blob_uploader import (
    FileChangedError,
    FileUnreadableError,
    FileVanishedError,
    NotAFileError,
    SourceError,
    UnavailableError,
)
from penstock_blob_uploader._reading import Blocks, delete, examine, read_whole

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and symbolic links")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 100)
    return path


def append(path: Path) -> None:
    with path.open("ab") as handle:
        handle.write(b"!")


def shrink(path: Path) -> None:
    os.truncate(path, 500)


def replace(path: Path) -> None:
    (path.parent / "new").write_bytes(path.read_bytes())
    (path.parent / "new").replace(path)


def rewrite(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"9876543210" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def pipe(path: Path) -> None:
    os.mkfifo(path)


CHANGES = pytest.mark.parametrize("change", [append, shrink, replace, rewrite])


def test_a_small_file_comes_whole_with_its_digests(file: Path) -> None:
    content = read_whole(file, examine(file))

    assert content.data == file.read_bytes()
    assert content.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert content.md5 == hashlib.md5(file.read_bytes(), usedforsecurity=False).digest()


def test_a_large_file_comes_in_blocks_with_the_digest_of_the_whole(file: Path) -> None:
    with Blocks(file, examine(file), block_size=300) as blocks:
        parts = list(blocks)

    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert b"".join(parts) == file.read_bytes()
    assert blocks.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert read_whole(tmp_path / "empty", examine(tmp_path / "empty")).data == b""


@CHANGES
def test_a_file_changed_since_it_was_handed_over_is_not_read_to_the_end(
    file: Path, change: Callable[[Path], None]
) -> None:
    handed_over = examine(file)
    change(file)

    with pytest.raises(FileChangedError) as failure:
        read_whole(file, handed_over)

    assert failure.value.permanent


@CHANGES
def test_a_file_changed_while_it_is_read_never_reaches_its_end(file: Path, change: Callable[[Path], None]) -> None:
    with Blocks(file, examine(file), block_size=300) as blocks:
        blocks.next_block()
        change(file)

        with pytest.raises(FileChangedError):
            list(blocks)


def test_a_file_that_vanishes_while_it_is_read_never_reaches_its_end(file: Path) -> None:
    with Blocks(file, examine(file), block_size=300) as blocks:
        blocks.next_block()
        file.unlink()

        with pytest.raises(FileVanishedError):
            list(blocks)


def test_reading_on_after_the_end_was_closed_is_refused(file: Path) -> None:
    blocks = Blocks(file, examine(file), block_size=300)
    blocks.close()

    with pytest.raises(FileUnreadableError):
        blocks.next_block()


@needs_posix
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Path.exists, FileVanishedError),
        (Path.mkdir, NotAFileError),
        (pipe, NotAFileError),
        (lambda path: path.symlink_to(path), FileUnreadableError),
        (lambda path: path.symlink_to(path.parent / "nothing"), FileVanishedError),
    ],
    ids=["nothing", "directory", "pipe", "loop", "dangling link"],
)
def test_what_is_no_readable_file_is_called_by_its_name(
    tmp_path: Path, make: Callable[[Path], object], error: type[SourceError]
) -> None:
    path = tmp_path / "thing"
    make(path)

    with pytest.raises(error) as failure:
        examine(path)

    assert failure.value.permanent
    assert not failure.value.environment


@needs_posix
def test_a_pipe_put_in_place_of_the_file_does_not_block(file: Path) -> None:
    handed_over = examine(file)
    file.unlink()
    pipe(file)

    with pytest.raises(NotAFileError, match="a pipe"):
        read_whole(file, handed_over)


def test_paths_no_system_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError):
        examine(tmp_path / ("x" * 5000))
    with pytest.raises(FileUnreadableError, match="NUL"):
        examine(tmp_path / "a\0b")


@pytest.mark.parametrize(("name", "shown"), [("no\nline", r"no\nline"), ("no \udcff text", r"no \udcff text")])
def test_errors_show_file_names_in_one_line_of_text(tmp_path: Path, name: str, shown: str) -> None:
    with pytest.raises(FileVanishedError) as failure:
        examine(tmp_path / name)

    assert shown in str(failure.value).encode().decode()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_we_may_not_read_is_unreadable(file: Path) -> None:
    handed_over = examine(file)
    file.chmod(0)

    with pytest.raises(FileUnreadableError, match="Permission denied"):
        read_whole(file, handed_over)


def test_running_out_of_handles_is_not_the_file_s_fault(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> int:
        raise OSError(24, "Too many open files")

    handed_over = examine(file)
    monkeypatch.setattr(os, "open", exhausted)

    with pytest.raises(UnavailableError) as failure:
        read_whole(file, handed_over)

    assert failure.value.environment
    assert not failure.value.permanent


def test_a_file_is_deleted_only_as_it_was_handed_over(file: Path) -> None:
    handed_over = examine(file)
    append(file)

    with pytest.raises(FileChangedError):
        delete(file, handed_over)
    delete(file, examine(file))

    assert not file.exists()
