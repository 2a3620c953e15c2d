"""Two counters on one machine that serve the same pool, each with a ledger of its own, are told from others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_token_counter import _serve
from penstock_token_counter._neighbours import serving

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_second_counter_of_a_pool_learns_of_the_first(tmp_path: Path) -> None:
    with serving(["completion", "embedding"], tmp_path) as alone:
        assert alone == []
        with serving(["embedding", "other"], tmp_path) as second:
            assert second == ["embedding"]
    with serving(["embedding"], tmp_path) as after:
        assert after == []


def test_where_no_lock_is_to_be_had_nobody_is_suspected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with serving(["completion"], tmp_path / "file") as alone:
        assert alone == []


def test_it_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    _serve._warn_of(["completion", "embedding"])

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "serves completion, embedding too" in said
    assert "--store" in said


def test_nothing_is_said_to_whoever_is_alone(capsys: pytest.CaptureFixture[str]) -> None:
    _serve._warn_of([])

    assert capsys.readouterr().err == ""
