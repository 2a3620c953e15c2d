"""A process's own log file: what is in it, when it ends, and that trouble with it is nobody else's."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Logs


def test_a_file_starts_with_its_header_and_holds_a_record_a_line(logs: Logs) -> None:
    handler = logs.writer("w")

    logs.say(handler, "one", "two")

    assert logs.names() == ["shop-w.current.log"]
    header, *records = logs.lines(logs.directory / "shop-w.current.log")
    assert header["schema"] == "penstock-log/1"
    assert (header["app"], header["process"], header["pid"], header["seq"]) == ("shop", "w", os.getpid(), 0)
    assert header["start_ns"] == handler.header.start_ns
    assert [record["message"] for record in records] == ["one", "two"]


def test_closing_gives_the_file_its_immutable_name(logs: Logs) -> None:
    handler = logs.writer("w")
    logs.say(handler, "one")

    handler.close()

    (name,) = logs.names()
    assert name.startswith("shop-w__2026-03-01.")
    assert "-0-" in name.partition(".")[2]


def test_a_file_without_records_does_not_outlive_its_writer(logs: Logs) -> None:
    logs.writer("w").close()

    assert logs.names() == []


def test_a_full_file_is_followed_by_another_and_no_record_is_split_or_lost(logs: Logs) -> None:
    handler = logs.writer("w", max_bytes=800)
    messages = [f"record {number}" for number in range(50)]

    logs.say(handler, *messages)
    handler.close()

    sizes = [(logs.directory / name).stat().st_size for name in logs.names()]
    assert len(sizes) > 5
    assert max(sizes) <= 800
    assert sorted(logs.messages()) == sorted(messages)


def test_a_record_larger_than_a_file_may_be_is_written_whole(logs: Logs) -> None:
    handler = logs.writer("w", max_bytes=400)

    logs.say(handler, "small", "x" * 5000, "small again")
    handler.close()

    assert sorted(logs.messages()) == ["small", "small again", "x" * 5000]
    assert len(logs.names()) == 3


@pytest.mark.parametrize("step", [24 * 3600, -24 * 3600], ids=["midnight", "clock stepped back"])
def test_another_utc_day_begins_another_file(logs: Logs, step: float) -> None:
    handler = logs.writer("w")
    logs.say(handler, "on this day")

    logs.now += step
    logs.say(handler, "on that day")

    assert logs.messages("*__2026-03-01.*.log") == ["on this day"]
    assert logs.messages("*.current.log") == ["on that day"]


def test_live_namesakes_are_told_apart(logs: Logs) -> None:
    first, second = logs.writer("w"), logs.writer("w")

    logs.say(first, "first")
    logs.say(second, "second")

    assert second.header.process == "w~1"
    assert logs.messages("shop-w.current.log") == ["first"]
    assert logs.messages("shop-w~1.current.log") == ["second"]


def test_a_dead_namesakes_file_is_set_aside_and_never_appended_to(logs: Logs) -> None:
    current = logs.dead_writer("of the dead", process="w")

    logs.say(logs.writer("w"), "of the living")

    assert logs.messages(current.name) == ["of the living"]
    assert logs.messages("*__*.log") == ["of the dead"]


def test_a_file_of_another_naming_is_set_aside_unchanged(logs: Logs) -> None:
    logs.directory.mkdir()
    (logs.directory / "shop-w.current.log").write_text("2025-01-01 somebody else's\n")

    logs.say(logs.writer("w"), "ours")

    (aside,) = logs.names("*__*.log")
    assert (logs.directory / aside).read_text() == "2025-01-01 somebody else's\n"
    assert logs.messages("*.current.log") == ["ours"]


def test_a_dead_namesakes_file_that_may_not_be_moved_is_walked_around(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.dead_writer("of the dead", process="w")

    with monkeypatch.context() as refusal:
        refusal.setattr("pathlib.Path.rename", refuse)
        handler = logs.writer("w")
    logs.say(handler, "of the living")

    assert logs.messages("shop-w.current.log") == ["of the dead"]
    assert logs.messages("shop-w~1.current.log") == ["of the living"]


def test_names_that_no_file_could_bear_are_made_harmless(logs: Logs) -> None:
    handler = logs.writer("../../etc/w\0" + "x" * 300, app="a/b")

    logs.say(handler, "still here")
    handler.close()

    (name,) = logs.names()
    assert name.startswith("a_b-.._.._etc_w_xxx")
    assert logs.messages() == ["still here"]


def test_every_record_of_many_threads_is_written_once(logs: Logs) -> None:
    handler = logs.writer("w", max_bytes=2000)
    threads = [
        threading.Thread(target=logs.say, args=(handler, *(f"{name}-{number}" for number in range(100))))
        for name in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.close()

    assert sorted(logs.messages()) == sorted(f"{name}-{number}" for name in range(8) for number in range(100))


def test_a_vanished_directory_is_noticed_within_a_second_and_made_anew(logs: Logs) -> None:
    handler = logs.writer("w")
    logs.say(handler, "before")
    shutil.rmtree(logs.directory)

    logs.now += 1.5
    logs.say(handler, "after")

    assert logs.messages() == ["after"]
    assert handler.statistics().stolen == 1
    assert handler.header.seq == 1


def test_a_directory_that_cannot_be_made_costs_records_but_no_exception(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.directory.write_text("a file where the directory should be")
    handler = logs.writer("w")
    logs.say(handler, "lost", "lost too")

    logs.directory.unlink()
    logs.now += 1.5
    logs.say(handler, "written")

    assert logs.messages() == ["written", "2 log records could not be written and are lost"]
    assert handler.statistics().lost == {"EEXIST": 2}
    assert capsys.readouterr().err.count("cannot write log files") == 1


def test_a_full_disk_leaves_no_half_record_behind(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logs.writer("w")
    logs.say(handler, "fits")
    assert handler.path is not None
    size = handler.path.stat().st_size

    with file_size_limit(size + 10):
        logs.say(handler, "does not fit")
    logs.say(handler, "fits again")

    assert logs.messages() == ["fits", "fits again", "1 log records could not be written and are lost"]
    assert handler.statistics().lost == {"EFBIG": 1}
    assert "cannot write log files" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=["full", "quota", "broken"])
def test_a_disk_that_refuses_a_while_costs_one_warning_and_is_told_in_the_log(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    handler = logs.writer("w")

    with monkeypatch.context() as trouble:
        trouble.setattr("os.write", refusal(number))
        logs.say(handler, *(f"lost {count}" for count in range(20)))
    logs.say(handler, "written")

    assert logs.messages() == ["written", "20 log records could not be written and are lost"]
    assert handler.statistics().lost == {errno.errorcode[number]: 20}
    assert capsys.readouterr().err.count("cannot write log files") == 1


def test_how_many_were_lost_is_told_as_soon_as_there_is_room_for_that_too(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logs.writer("w")
    assert handler.path is not None
    with monkeypatch.context() as trouble:
        trouble.setattr("os.write", refusal(errno.ENOSPC))
        logs.say(handler, *(f"lost {count}" for count in range(5)))

    with file_size_limit(handler.path.stat().st_size + 100):
        logs.say(handler, "short", "lost, being too long" * 10)
    logs.say(handler, "roomy")

    assert logs.messages() == ["short", "roomy", "6 log records could not be written and are lost"]
    assert handler.statistics().lost == {"ENOSPC": 5, "EFBIG": 1}
    assert capsys.readouterr().err.count("cannot write log files") == 1


def test_how_many_were_lost_is_told_at_the_latest_when_the_file_is_closed(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = logs.writer("w")
    with monkeypatch.context() as trouble:
        trouble.setattr("os.write", refusal(errno.ENOSPC))
        logs.say(handler, "lost")

    handler.close()

    assert logs.messages("*__*.log") == ["1 log records could not be written and are lost"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOENT], ids=["read-only", "denied", "vanished"])
def test_a_directory_that_takes_no_file_a_while_is_tried_once_a_second(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    handler = logs.writer("w")
    handler.close_file()

    with monkeypatch.context() as trouble:
        attempts = refusal(number)
        trouble.setattr("os.open", attempts)
        for _ in range(3):
            logs.say(handler, "lost", "lost too")
            logs.now += 1.1
    logs.say(handler, "written")

    assert attempts.calls == 3
    assert logs.messages() == ["written", "6 log records could not be written and are lost"]
    assert handler.statistics().lost == {errno.errorcode[number]: 6}
    assert capsys.readouterr().err.count("cannot write log files") == 1


def test_trouble_before_anything_was_written_is_told_at_once(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as trouble:
        trouble.setattr("pathlib.Path.mkdir", refusal(errno.EROFS))
        logs.writer("w")

    assert "cannot write log files" in capsys.readouterr().err


def test_a_rotation_that_is_refused_goes_on_in_the_old_file(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logs.writer("w", max_bytes=500)
    logs.say(handler, "a" * 300)

    with monkeypatch.context() as refusal:
        refusal.setattr("pathlib.Path.rename", refuse)
        logs.say(handler, "b" * 300, "c" * 300)
    logs.say(handler, "d" * 300)

    assert logs.messages("*__*.log") == ["a" * 300, "b" * 300, "c" * 300]
    assert logs.messages("*.current.log") == ["d" * 300]
    assert capsys.readouterr().err.count("cannot rotate") == 1


def test_a_record_that_cannot_be_formatted_is_counted(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = logs.writer("w")

    logs.say(handler, "%d apples", args=("no number",))
    logs.say(handler, "fine")

    assert logs.messages() == ["fine"]
    assert handler.statistics().lost == {"format": 1}
    assert handler.statistics().written == 1


def test_a_line_is_a_line_of_unicode_for_every_reader(logs: Logs) -> None:
    handler = logs.writer("w")
    odd = "half a \ud83d pair, \u2028, \u0085, \x00, \r and é"

    logs.say(handler, odd)

    text = (logs.directory / "shop-w.current.log").read_bytes().decode("utf-8")
    assert "é" in text
    _, line = text.splitlines()
    assert json.loads(line)["message"] == odd


def refuse(path: Path, target: Path) -> Path:
    raise PermissionError(13, "Permission denied", str(path), None, str(target))


class refusal:  # noqa: N801  # used as a function that counts its calls
    def __init__(self, number: int) -> None:
        self.calls = 0
        self._number = number

    def __call__(self, *_: object, **__: object) -> int:
        self.calls += 1
        raise OSError(self._number, os.strerror(self._number))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size``: the system writes up to there and no further, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
