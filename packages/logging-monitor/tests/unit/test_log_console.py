"""What is written to the standard streams."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from penstock_logging_monitor import LogFileHandler, configure_logging, get_logger, log_context, log_to_stdout

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_root: logging.Logger) -> None:
    assert not fresh_root.handlers
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ascii(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii", write_through=True)


def test_a_terminal_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging()

    logging.getLogger("shop").warning("careful")

    assert "\x1b[33mWARNING \x1b[0m shop: careful\n" in terminal.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv(variable, value)
    configure_logging()

    logging.getLogger("shop").warning("careful")

    assert terminal.getvalue().endswith("Z WARNING  shop: careful\n")


def test_what_is_no_terminal_gets_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()

    logging.getLogger("shop").warning("careful")

    assert "\x1b" not in capsys.readouterr().err


def test_secrets_do_not_reach_the_console_either(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    log_to_stdout()

    logging.getLogger("shop").warning("api_key=abcdef0123")

    out, err = capsys.readouterr()
    assert err.endswith("api_key=***\n")
    assert json.loads(out)["message"] == "api_key=***"


def test_what_the_console_cannot_encode_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Ascii()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging()

    logging.getLogger("shop").info("café €")

    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue().endswith(b"caf\\xe9 \\u20ac\n")


def test_stdout_gets_flat_json_and_there_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stdout(level="DEBUG")

    with log_context(order="o-17"):
        get_logger("shop.cart").debug("sold %d", 3)

    out, err = capsys.readouterr()
    assert {name: value for name, value in json.loads(out).items() if name != "ts"} == {
        "level": "DEBUG",
        "logger": "shop.cart",
        "message": "sold 3",
        "order": "o-17",
    }
    assert err == ""
    assert list(tmp_path.iterdir()) == []


def test_stdout_and_files_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stdout()
    handler = configure_logging(logs_dir=tmp_path / "logs", console=False)

    logging.getLogger("shop").info("hello")

    assert handler.statistics().written == 1
    assert capsys.readouterr().out.count("hello") == 1


def test_stdout_is_set_up_once(fresh_root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    first = log_to_stdout()
    assert log_to_stdout() is first

    logging.getLogger("shop").info("once")

    assert capsys.readouterr().out.count("once") == 1
    assert not any(isinstance(handler, LogFileHandler) for handler in fresh_root.handlers)


def test_an_unknown_level_is_refused(fresh_root: logging.Logger) -> None:
    handlers = fresh_root.handlers[:]

    with pytest.raises(ValueError, match="LOUD"):
        log_to_stdout(level="LOUD")

    assert fresh_root.handlers == handlers
