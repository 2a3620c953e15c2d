"""The README's examples run as they stand, against the local stand-in."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_local_azure import Deployment, OpenAI

README = Path(__file__).parents[2] / "README.md"
TYPED, MORE, TRANSPORT = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
async def standin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAI]:
    deployments = [Deployment(name) for name in ("gpt-4o", "gpt-4o-eu", "text-embedding-3-small")]
    async with OpenAI(deployments, judge="exact", seed=7, latency=0.0) as running:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", running.endpoint)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", running.api_key)
        yield running


async def run(example: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run an example as a program of its own would, and return the lines it prints."""
    await asyncio.to_thread(exec, compile(example, README.name, "exec"), {"__name__": "example"})
    return capsys.readouterr().out.splitlines()


async def test_typed_answers(standin: OpenAI, capsys: pytest.CaptureFixture[str]) -> None:
    judged, took, text, estimate = await run(TYPED, capsys)

    assert standin.stats()["gpt-4o"]["requests"] == 3
    assert re.fullmatch(r"(positive|neutral|negative) [1-5]", judged)
    assert took.startswith("Usage(prompt_tokens=")
    assert text
    assert int(estimate) > 200


async def test_streams_embeddings_and_fallbacks(standin: OpenAI, capsys: pytest.CaptureFixture[str]) -> None:
    streamed, vectors = await run(MORE, capsys)

    (answered,) = [request for request in standin.requests if request.deployment == "gpt-4o"]
    assert streamed.endswith(
        f"Usage(prompt_tokens={answered.prompt_tokens}, completion_tokens={answered.completion_tokens})"
    )
    assert vectors == "2 1536"


async def test_the_transport(standin: OpenAI, capsys: pytest.CaptureFixture[str]) -> None:
    (answer,) = await run(TRANSPORT, capsys)

    assert answer
    assert standin.requests[0].body["max_completion_tokens"] == 1024
