"""The logger, as code that was written against its predecessor uses it: `get_logger`, the environment, and the lock.

The predecessor chose a leader by a lock file, and wrote down process ids. Here the log file itself is locked, by the
process that writes it, for as long as it lives: whoever holds a name's lock leads it, and nobody else writes there.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_logging_monitor import LogFileHandler, get_app_name, get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

ANOTHER_PROCESS = """
import sys
from penstock_logging_monitor import get_logger
get_logger("another").warning(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_root: logging.Logger) -> None:
    assert not fresh_root.handlers
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of every process of the test: they are namesakes."""
    monkeypatch.setenv("APP_NAME_FOR_LOGGER", "shop")
    monkeypatch.setenv("PROCESS_NAME", "w")


@contextmanager
def another_process(message: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has logged one message, and lives until the block ends or it is killed."""
    command = (sys.executable, "-c", ANOTHER_PROCESS, message)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate()


def file_handlers() -> list[LogFileHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LogFileHandler)]


def close_all() -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()


def is_locked(path: Path) -> bool:
    """Try the lock as any other process would: through a descriptor of one's own."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def logs() -> dict[str, list[str]]:
    """The messages in every log file, by file name."""
    return {path.name: messages(path) for path in sorted(Path("logs").iterdir())}


def messages(path: Path) -> list[str]:
    _, *records = map(json.loads, path.read_text().splitlines())
    return [record["message"] for record in records]


CURRENT = Path("logs/shop-w.current.log")


class TestLogger:
    def test_get_logger_creates_singleton(self) -> None:
        first = get_logger("shop.cart")

        assert get_logger("shop.cart") is first
        assert logging.getLogger("shop.cart") is first

    def test_get_logger_configures_the_process_once(self) -> None:
        for name in ("shop.cart", "shop.till", "shop.cart"):
            get_logger(name)

        assert len(file_handlers()) == 1

    def test_get_logger_configures_once_for_threads_that_come_at_once(self) -> None:
        together = threading.Barrier(8)

        def come() -> None:
            together.wait()
            get_logger("shop.cart")

        threads = [threading.Thread(target=come) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(file_handlers()) == 1

    @pytest.mark.parametrize("level", [logging.WARNING, "WARNING"])
    def test_get_logger_sets_log_level(self, level: int | str) -> None:
        logger = get_logger("shop.levels", level)

        assert logger.level == logging.WARNING
        assert not logger.isEnabledFor(logging.INFO)

    def test_get_logger_without_level_keeps_the_one_set_before(self) -> None:
        get_logger("shop.kept", "ERROR")

        assert get_logger("shop.kept").level == logging.ERROR

    def test_get_logger_refuses_unknown_level_and_sets_nothing_up(self) -> None:
        with pytest.raises(ValueError, match="LOUD"):
            get_logger("shop.cart", "LOUD")

        assert file_handlers() == []
        assert not Path("logs").exists()

    @pytest.mark.usefixtures("named")
    def test_multiple_loggers_share_one_file_and_keep_their_names(self) -> None:
        for name in ("shop.cart", "shop.till"):
            get_logger(name).info("hello from %s", name)

        _, *records = map(json.loads, CURRENT.read_text().splitlines())
        assert [(record["logger"], record["message"]) for record in records] == [
            ("shop.cart", "hello from shop.cart"),
            ("shop.till", "hello from shop.till"),
        ]

    @pytest.mark.usefixtures("named")
    def test_each_record_is_written_once(self) -> None:
        parent, child = get_logger("shop"), get_logger("shop.cart")

        parent.info("of the parent")
        child.info("of the child")

        assert messages(CURRENT) == ["of the parent", "of the child"]

    def test_get_app_name_default(self) -> None:
        assert get_app_name() == "unknown_app"

    def test_get_app_name_from_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APP_NAME_FOR_LOGGER", "billing")

        assert get_app_name() == "billing"

    @pytest.mark.parametrize("blank", ["", " "])
    def test_get_app_name_blank_is_unset(self, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
        monkeypatch.setenv("APP_NAME_FOR_LOGGER", blank)

        assert get_app_name() == "unknown_app"

    def test_process_name_default_carries_the_pid(self) -> None:
        get_logger("shop")

        assert Path(f"logs/unknown_app-worker-{os.getpid()}.current.log").is_file()

    def test_process_name_from_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PROCESS_NAME", "night-shift")

        get_logger("shop")

        assert Path("logs/unknown_app-night-shift.current.log").is_file()

    def test_logs_dir_from_environment_is_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOGS_DIR", str(tmp_path / "var" / "log"))

        get_logger("shop")

        assert len(list((tmp_path / "var" / "log").iterdir())) == 1

    @pytest.mark.usefixtures("named")
    def test_acquire_log_lock_success(self) -> None:
        get_logger("shop").info("ours")

        assert is_locked(CURRENT)

    @pytest.mark.usefixtures("named")
    def test_acquire_log_lock_held_by_another_process(self) -> None:
        with another_process("theirs"):
            get_logger("shop").info("ours")

            assert logs() == {"shop-w.current.log": ["theirs"], "shop-w~1.current.log": ["ours"]}

    @pytest.mark.usefixtures("named")
    def test_log_lock_ends_with_the_handler(self) -> None:
        get_logger("shop").info("ours")
        close_all()

        (closed,) = Path("logs").iterdir()
        assert closed.name.startswith("shop-w__")
        assert messages(closed) == ["ours"]
        assert not is_locked(closed)

    @pytest.mark.usefixtures("named")
    def test_log_lock_ends_when_its_process_is_killed(self) -> None:
        with another_process("theirs") as process:
            assert is_locked(CURRENT)
            process.kill()
            process.wait()

            assert not is_locked(CURRENT)

    @pytest.mark.usefixtures("named")
    def test_log_lock_is_not_inherited_by_programs_that_are_started(self) -> None:
        get_logger("shop").info("ours")
        program = (sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()")
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
            assert child.stdout is not None
            child.stdout.readline()
            close_all()

            (closed,) = Path("logs").iterdir()
            assert not is_locked(closed)
            child.communicate()

    @pytest.mark.usefixtures("named")
    def test_leadership_of_a_name_passes_to_the_next_when_its_holder_is_killed(self) -> None:
        with another_process("of the dead") as process:
            process.kill()
            process.wait()

        get_logger("shop").info("of the living")

        set_aside, current = sorted(logs().items(), reverse=True)
        assert current == ("shop-w.current.log", ["of the living"])
        assert set_aside[0].startswith("shop-w__")
        assert set_aside[1] == ["of the dead"]

    @pytest.mark.usefixtures("named")
    def test_leadership_is_never_shared_by_processes_that_start_at_once(self) -> None:
        command = (sys.executable, "-c", ANOTHER_PROCESS)
        processes = [
            subprocess.Popen((*command, f"from {number}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for number in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        written = logs()
        for process in processes:
            process.communicate()

        assert len(written) == 4
        assert sorted(written.values()) == [[f"from {number}"] for number in range(4)]

    @pytest.mark.usefixtures("named")
    def test_setup_after_teardown_begins_a_new_file(self) -> None:
        get_logger("shop").info("before")
        close_all()

        get_logger("shop").info("after")

        assert sorted(logs().values()) == [["after"], ["before"]]
        assert messages(CURRENT) == ["after"]

    def test_setup_where_no_file_can_be_written_raises_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("logs").write_text("a file where the directory should be")

        get_logger("shop").info("lost")

        assert file_handlers()[0].statistics().lost == {"EEXIST": 1}
        assert capsys.readouterr().err.count("cannot write log files") == 1
