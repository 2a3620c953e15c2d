"""API.md says what the code says."""

from __future__ import annotations

import importlib
import inspect
import runpy
from pathlib import Path

import pytest

import penstock_token_client

PACKAGE = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(PACKAGE / "scripts" / "api_page.py"))


def test_the_page_is_up_to_date() -> None:
    page = (PACKAGE / "API.md").read_text(encoding="utf-8")

    assert page == SCRIPT["render"](), "run python packages/token-client/scripts/api_page.py"


@pytest.mark.parametrize("suffix", ["", ".testing", ".protocol", ".accounting"])
def test_every_public_name_stands_there_with_its_parameters(suffix: str) -> None:
    module = importlib.import_module(f"penstock_token_client{suffix}")
    page = (PACKAGE / "API.md").read_text(encoding="utf-8")
    section = page.partition(f"## {module.__name__}\n")[2].partition("\n## ")[0]
    headings = {line.split("`")[1] for line in section.splitlines() if line.startswith("### ")}

    by_name = {heading.removeprefix("async ").partition("(")[0].partition(" ")[0]: heading for heading in headings}

    assert sorted(by_name) == sorted(module.__all__)
    for name, heading in by_name.items():
        if "(" in heading and "=" not in heading.partition("(")[0]:
            for parameter in inspect.signature(getattr(module, name)).parameters.values():
                assert f"{parameter.name}: " in heading


def test_a_signature_that_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def another(self: object, token_count: int, patience: float = 1.0) -> None:
        """Change the signature."""

    before = SCRIPT["render"]()
    monkeypatch.setattr(penstock_token_client.TokenClient, "lock_tokens", another)

    assert "lock_tokens(token_count: int, patience: float = 1.0) -> None" in SCRIPT["render"]()
    assert SCRIPT["render"]() != before
