"""Logging for a process, set up once, from arguments and the environment."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import pytest

from penstock_logging_monitor import JsonFormatter, TextFormatter, configure_logging, get_app_name, get_logger

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("fresh_root")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_everything_the_process_logs_goes_to_its_file(tmp_path: Path) -> None:
    handler = configure_logging(logs_dir=tmp_path / "here", app="shop", process="w")

    logging.getLogger("somebody.elses.library").info("hello")

    assert names(tmp_path / "here") == ["shop-w.current.log"]
    assert handler.path is not None
    assert "hello" in handler.path.read_text()


def test_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    configure_logging()

    assert names(tmp_path / "logs") == [f"unknown_app-worker-{os.getpid()}.current.log"]


def test_the_environment_is_read_when_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGS_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("APP_NAME_FOR_LOGGER", "billing")
    monkeypatch.setenv("PROCESS_NAME", "night-shift")

    configure_logging()

    assert names(tmp_path / "elsewhere") == ["billing-night-shift.current.log"]


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_variable_is_an_unset_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    for variable in ("LOGS_DIR", "APP_NAME_FOR_LOGGER", "PROCESS_NAME"):
        monkeypatch.setenv(variable, blank)

    configure_logging()

    assert names(tmp_path / "logs") == [f"unknown_app-worker-{os.getpid()}.current.log"]


def test_an_argument_outdoes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_NAME_FOR_LOGGER", "billing")

    configure_logging(logs_dir=tmp_path / "here", app="shop", process="w")

    assert names(tmp_path / "here") == ["shop-w.current.log"]


def test_a_second_call_returns_the_same_handler(tmp_path: Path, fresh_root: logging.Logger) -> None:
    first = configure_logging(logs_dir=tmp_path / "here")
    handlers = fresh_root.handlers[:]

    assert configure_logging(logs_dir=tmp_path / "there") is first
    assert fresh_root.handlers == handlers
    assert not (tmp_path / "there").exists()


def test_a_handler_that_was_taken_off_is_not_configured_any_more(tmp_path: Path, fresh_root: logging.Logger) -> None:
    first = configure_logging(logs_dir=tmp_path / "here")
    fresh_root.removeHandler(first)
    first.close()

    assert configure_logging(logs_dir=tmp_path / "here") is not first


def test_the_level_is_the_roots(fresh_root: logging.Logger) -> None:
    handler = configure_logging(level="WARNING")

    logging.getLogger("x").info("quiet")
    logging.getLogger("x").warning("loud")

    assert fresh_root.level == logging.WARNING
    assert handler.statistics().written == 1


def test_a_console_is_added_if_asked_and_only_if_there_is_none(fresh_root: logging.Logger) -> None:
    mine = logging.StreamHandler(sys.stderr)
    fresh_root.addHandler(mine)
    configure_logging(console=True)

    assert [handler for handler in fresh_root.handlers if type(handler) is logging.StreamHandler] == [mine]


def test_the_console_speaks_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(console=True)

    logging.getLogger("x").info("to be read")

    assert capsys.readouterr().err.endswith("INFO     x: to be read\n")


def test_no_console_if_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(console=False)

    logging.getLogger("x").info("silent")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "formatter"), [("json", JsonFormatter), ("text", TextFormatter)])
def test_the_files_format_is_chosen(name: str, formatter: type[logging.Formatter]) -> None:
    handler = configure_logging(format=name)  # type: ignore[arg-type]  # parametrized

    assert isinstance(handler.formatter, formatter)


@pytest.mark.parametrize("mistake", [{"format": "yaml"}, {"level": "LOUD"}, {"max_bytes": 0}])
def test_a_mistake_is_refused_before_anything_is_set_up(fresh_root: logging.Logger, mistake: dict[str, object]) -> None:
    handlers, level = fresh_root.handlers[:], fresh_root.level

    with pytest.raises(ValueError, match=r"yaml|LOUD|max_bytes"):
        configure_logging(**mistake)  # type: ignore[arg-type]  # that is the mistake

    assert fresh_root.handlers == handlers
    assert fresh_root.level == level


def test_get_logger_sets_logging_up_and_returns_the_standard_logger(tmp_path: Path) -> None:
    logger = get_logger("shop.cart")

    logger.info("hello")

    assert logger is logging.getLogger("shop.cart") is get_logger("shop.cart")
    assert (tmp_path / "logs").is_dir()


def test_get_logger_sets_the_level_of_that_logger_only() -> None:
    get_logger("shop.noisy", "ERROR")
    get_logger("shop.noisy")

    assert logging.getLogger("shop.noisy").level == logging.ERROR
    assert logging.getLogger("shop.other").level == logging.NOTSET


def test_the_app_name_is_the_configured_one_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_app_name() == "unknown_app"
    monkeypatch.setenv("APP_NAME_FOR_LOGGER", "billing")
    assert get_app_name() == "billing"

    configure_logging(app="shop")

    assert get_app_name() == "shop"
