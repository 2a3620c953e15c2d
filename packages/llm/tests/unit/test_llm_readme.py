"""The README's example runs as it stands, against the local stand-in."""

import asyncio
import re
from pathlib import Path

import pytest

from penstock_local_azure import OpenAI

README = Path(__file__).parents[2] / "README.md"


async def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    async with OpenAI(judge="exact", seed=7, latency=0.0) as standin:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", standin.endpoint)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", standin.api_key)
        await asyncio.to_thread(exec, compile(example, README.name, "exec"), {"__name__": "example"})
        assert standin.stats()["gpt-4o"]["requests"] == 3
    judged, took, text, estimate = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"(positive|neutral|negative) [1-5]", judged)
    assert took.startswith("Usage(prompt_tokens=")
    assert text
    assert int(estimate) > 200
