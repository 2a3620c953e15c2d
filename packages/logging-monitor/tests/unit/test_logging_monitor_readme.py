"""The README's examples run, and do what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_logging_monitor import MonitorStatistics
from penstock_logging_monitor.__main__ import main
from penstock_logging_monitor._metrics import MonitorMetrics
from penstock_logging_monitor._options import parser

if TYPE_CHECKING:
    import logging

    from conftest import Logs

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_root: logging.Logger) -> None:
    assert fresh_root
    for variable in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_examples_log_and_ship(tmp_path: Path, logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    write, ship = blocks("python")

    exec(write, {"__name__": "example"})  # noqa: S102  # our own README
    (current,) = (tmp_path / "logs").iterdir()
    assert current.name == "shop-checkout-1.current.log"
    (record,) = logs.lines(current)[1:]
    shown = json.loads(blocks("json")[0])
    assert record | {"ts": shown["ts"]} == shown

    exec(ship, {"__name__": "example"})  # noqa: S102  # our own README
    assert capsys.readouterr().out == "1 files shipped; 0 stay\n"
    assert logs.messages("*.log.gz", below=tmp_path / "archive" / "app=shop") == ["sold 3"]


def test_the_commands_and_options_shown_are_there() -> None:
    shown = [line for block in blocks("console") for line in block.splitlines() if "penstock-log-monitor" in line]
    commands = [line.partition("penstock-log-monitor ")[2].partition("#")[0].split() for line in shown]
    assert [parser().parse_args(command).command for command in commands] == ["run", "status", "doctor"]

    known = vars(parser().parse_args(["run"])).keys()
    options = re.findall(r"^\| `--([a-z-]+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert {option.replace("-", "_") for option in options} | {"container"} == known - {"command"}


def test_the_status_shown_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0

    printed = json.loads(capsys.readouterr().out)
    (shown,) = [json.loads(block) for block in blocks("json") if "oldest_unshipped_age" in block]
    assert printed.keys() == shown.keys()
    assert printed["v"] == shown["v"]


def test_the_metrics_to_alert_on_are_served() -> None:
    alerts = set(re.findall(r"`(penstock_logs_\w+)`", README.read_text(encoding="utf-8")))

    served = {sample.name for metric in MonitorMetrics(MonitorStatistics).collect() for sample in metric.samples}

    assert len(alerts) == 5
    assert alerts <= served
