"""The README's examples run, and do what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import logging

    from conftest import Logs

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_root: logging.Logger) -> None:
    assert fresh_root
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
