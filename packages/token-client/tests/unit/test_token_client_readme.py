"""The README's examples run as they stand."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from conftest import ScriptedCounter

README = Path(__file__).parents[2] / "README.md"


async def test_the_examples_run(
    counter: ScriptedCounter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reserve, lock, fake = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("TOKEN_COUNTER_URL", counter.url)

    for example in (reserve, lock, fake):
        await asyncio.to_thread(exec, compile(example, README.name, "exec"), {"__name__": "example"})

    waited, refused, answered, *tested = capsys.readouterr().out.splitlines()
    assert waited == "waited 0.0 s"
    assert refused.startswith("True 1020000 tokens")
    assert answered == "yes True"
    assert tested == ["not before 5.0 s", "yes", "1200 True []"]
    assert [call for call, _ in counter.calls] == ["lock", "report", "status"]
