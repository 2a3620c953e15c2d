"""What the command says when it cannot start: one sentence, exit status 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock_logging_monitor.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "x", "--account", "acct"], "target and account_url each say where to ship to"),
        (["--account", "acct", "--container", "A"], "container_name"),
        (["--account", "http://["], "account_url"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    status = main(["run", "--logs-dir", str(tmp_path), *arguments])

    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("penstock-log-monitor: ")
    assert complaint in error
    assert error.count("\n") == 1


def test_a_directory_that_cannot_be_made_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")

    status = main(["run", "--logs-dir", str(tmp_path / "file" / "logs"), "--target", str(tmp_path / "archive")])

    assert status == 2
    assert "Not a directory" in capsys.readouterr().err
