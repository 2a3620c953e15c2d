"""Bad input is an error before anything is sent, and the error names the argument and the variable."""

from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, RootModel

from penstock_llm import AzureOpenAIService

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint

PROMPT = [{"role": "user", "content": "hi"}]


class Verdict(BaseModel):
    score: int


class Scores(RootModel[list[int]]):
    pass


class Node(BaseModel):
    children: list["Node"]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "messages must not be empty"),
        ("hi", "messages must be a list of mappings, not str"),
        ({"role": "user", "content": "hi"}, "messages must be a list of mappings, not dict"),
        (["hi"], r"messages\[0\] must be a mapping, not str"),
        ([{"content": "hi"}], r"messages\[0\]: role must be one of system, developer, user, assistant, tool"),
        ([*PROMPT, {"role": "robot", "content": "hi"}], r"messages\[1\]: role must be one of"),
        ([{"role": "user"}], r"messages\[0\]: content is missing"),
        ([{"role": "user", "content": 7}], r"messages\[0\]: content must be a string or a list of text parts"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], r"messages\[0\]: content must be .* text parts"),
    ],
)
async def test_messages_are_checked_before_anything_is_reserved(
    service: AzureOpenAIService,
    endpoint: "ScriptedEndpoint",
    quota: "RecordingQuota",
    messages: Any,
    complaint: str,
) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        await service.complete(Verdict, messages)
    assert not endpoint.requests
    assert not quota.reservations


@pytest.mark.parametrize(
    ("model", "error", "complaint"),
    [
        (dict, TypeError, "response_model must be a Pydantic model class, not the class dict"),
        ("Verdict", TypeError, "response_model must be a Pydantic model class, not a str"),
        (Verdict(score=1), TypeError, "response_model must be a Pydantic model class, not a Verdict$"),
        (Scores, ValueError, "response_model Scores must describe an object, not 'array'"),
        (Node, ValueError, "response_model Node must not be recursive"),
    ],
)
async def test_the_response_model_is_checked(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", model: Any, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        await service.complete(model, PROMPT)
    assert not endpoint.requests


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"max_tokens": 0}, "max_tokens must be a whole number of at least 1, not 0"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number"),
        ({"max_retries": -1}, "max_retries must be a whole number of at least 0, not -1"),
        ({"deadline": 0}, "deadline must be a positive number of seconds, not 0"),
    ],
)
async def test_options_of_a_call_are_checked(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint", options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        await service.complete(Verdict, PROMPT, **options)
    assert not endpoint.requests


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model": None}, "model is missing: pass model= or set AZURE_OPENAI_DEPLOYMENT_NAME"),
        ({"model": " "}, "model must be a string that is not blank"),
        ({"endpoint": None}, "endpoint is missing: pass endpoint= or set AZURE_OPENAI_ENDPOINT"),
        ({"endpoint": "name.openai.azure.com"}, "endpoint .AZURE_OPENAI_ENDPOINT. must be a URL with scheme"),
        (
            {"endpoint": "https://[your-resource].openai.azure.com"},
            "endpoint .AZURE_OPENAI_ENDPOINT. must be a URL with scheme",
        ),
        ({"credential": object()}, "give api_key or credential, not both"),
        ({"max_completion_tokens": 0}, "max_completion_tokens must be a whole number of at least 1"),
        ({"timeout": 0}, "timeout must be a positive number of seconds"),
        ({"model": "chat-prod"}, "encodings has no entry for 'chat-prod', whose name does not say its model"),
        (
            {"encodings": {"gpt-4o": "gemma"}},
            "encodings .AZURE_OPENAI_MODEL.: .* neither an encoding nor a known model",
        ),
        ({"parameters": {"stream": True}}, "parameters must not contain stream"),
    ],
)
def test_options_of_the_service_are_checked(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AzureOpenAIService(**{"model": "gpt-4o", "endpoint": "https://example.org", "api_key": "secret", **options})


@pytest.mark.parametrize(
    ("options", "named"),
    [({"endpoint": "https://example.org", "api_key": "secret"}, "endpoint, api_key"), ({"timeout": 30.0}, "timeout")],
)
async def test_a_ready_client_leaves_nothing_else_to_say_about_the_endpoint(
    options: dict[str, Any], named: str
) -> None:
    async with AsyncOpenAI(api_key="secret", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(ValueError, match=f"give client or {named}, not both"):
            AzureOpenAIService("gpt-4o", client=client, **options)


async def test_what_utf8_cannot_carry_arrives_as_the_replacement_character(
    service: AzureOpenAIService, endpoint: "ScriptedEndpoint"
) -> None:
    endpoint.says('{"score": 1}')
    await service.complete(Verdict, [{"role": "user", "content": "a\ud800b\0<|endoftext|>"}])
    assert endpoint.requests[0].body["messages"][0]["content"] == "a\ufffdb\0<|endoftext|>"
