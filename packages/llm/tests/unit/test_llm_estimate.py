"""Estimates: the cookbook's count, the schema, the largest answer; and the event loop is not held up by counting."""

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from penstock_llm import AzureOpenAIService, _estimate
from penstock_tokenizers import count_messages, count_schema, encoding_for

if TYPE_CHECKING:
    from conftest import ScriptedEndpoint

PROMPT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How was it?"}]


class Verdict(BaseModel):
    score: int
    reason: str


def test_messages_count_as_the_cookbook_says(service: AzureOpenAIService) -> None:
    assert service.count_tokens(PROMPT) == count_messages(encoding_for("gpt-4o"), PROMPT)


def test_an_estimate_is_prompt_schema_with_a_margin_and_the_largest_answer(service: AzureOpenAIService) -> None:
    messages = service.count_tokens(PROMPT)
    assert service.estimate_token_count(PROMPT) == messages + 1024
    assert service.estimate_token_count(PROMPT, max_tokens=100) == messages + 100
    schema = count_schema(encoding_for("gpt-4o"), Verdict.model_json_schema())
    typed = service.estimate_token_count(PROMPT, max_tokens=100, response_model=Verdict)
    assert messages + 100 < typed <= messages + 100 + schema + 20


async def test_a_deployment_that_does_not_say_its_model_is_mapped(
    endpoint: "ScriptedEndpoint", caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "penstock_tokenizers"):
        service = AzureOpenAIService("chat", endpoint=endpoint.url, api_key="k", encodings={"chat": "gpt-4"})
        assert service.count_tokens(PROMPT) == count_messages(encoding_for("cl100k_base"), PROMPT)
        await service.aclose()
    assert not [record for record in caplog.records if record.name.startswith("penstock_tokenizers")]


@pytest.mark.parametrize(("size", "inline"), [(1_000, True), (100_000, False)])
async def test_only_short_prompts_are_counted_on_the_event_loop(
    service: AzureOpenAIService,
    endpoint: "ScriptedEndpoint",
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    inline: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    threads: list[int] = []

    def counted(*arguments: Any) -> int:
        threads.append(threading.get_ident())
        return count_messages(*arguments)

    service.count_tokens(PROMPT)
    monkeypatch.setattr(_estimate, "count_messages", counted)
    endpoint.says("hello")
    await service.send_prompt("", "a " * (size // 2))
    assert [thread == threading.get_ident() for thread in threads] == [inline]


async def test_the_encoding_is_built_off_the_event_loop(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def built(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return encoding_for(*arguments)

    monkeypatch.setattr(_estimate, "encoding_for", built)
    endpoint.says("hello")
    endpoint.says("hello")
    await service.send_prompt("", "hi")
    await service.send_prompt("", "hi")
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
