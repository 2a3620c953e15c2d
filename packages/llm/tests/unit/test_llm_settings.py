"""Where a service goes: arguments win over the environment, which is read at construction; blank is unset."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import httpx2
import openai.lib.azure
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from openai import AsyncOpenAI

from penstock_llm import AzureOpenAIService, EndpointUnavailable
from penstock_token_client import Unlimited

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint


class Credential:
    """An Entra ID credential that hands out one token, or fails."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.scopes: list[str] = []
        self.closed = False

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        if not self.works:
            raise ClientAuthenticationError("no identity here")
        return AccessToken("entra-token", 4_000_000_000)

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def set_environment(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


async def test_the_environment_is_enough(endpoint: "ScriptedEndpoint", monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(
        monkeypatch,
        {
            "AZURE_OPENAI_ENDPOINT": endpoint.url,
            "AZURE_OPENAI_DEPLOYMENT_NAME": "gpt-4o",
            "AZURE_OPENAI_API_KEY": "from-environment",
        },
    )
    endpoint.says("hello")
    async with AzureOpenAIService() as service:
        assert await service.send_prompt("", "hi") == "hello"
    (seen,) = endpoint.requests
    assert seen.headers["authorization"] == "Bearer from-environment"
    assert seen.body["model"] == "gpt-4o"


async def test_arguments_win_and_blank_is_unset(
    endpoint: "ScriptedEndpoint", monkeypatch: pytest.MonkeyPatch, quota: "RecordingQuota"
) -> None:
    set_environment(
        monkeypatch,
        {
            "AZURE_OPENAI_ENDPOINT": "https://elsewhere.invalid",
            "AZURE_OPENAI_DEPLOYMENT_NAME": "other",
            "AZURE_OPENAI_API_KEY": "other",
            "AZURE_OPENAI_API_VERSION": "  ",
        },
    )
    endpoint.says("hello")
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=endpoint.url, api_key="mine") as service:
        await service.send_prompt("", "hi")
    (seen,) = endpoint.requests
    assert seen.path == "/openai/v1/chat/completions"
    assert (seen.body["model"], seen.headers["authorization"]) == ("gpt-4o", "Bearer mine")


@pytest.mark.parametrize(
    ("model", "encodings", "tokens"),
    [
        ("gpt-4o", None, 12),
        ("gpt-35-turbo", None, 19),
        ("gpt-35-turbo", {"chat-prod": "gpt-4o"}, 12),
        ("gpt-35-turbo", {"other": "gpt-4o"}, 19),
    ],
)
def test_the_environment_says_which_model_its_deployment_has(
    monkeypatch: pytest.MonkeyPatch, model: str, encodings: dict[str, str] | None, tokens: int
) -> None:
    set_environment(
        monkeypatch,
        {
            "AZURE_OPENAI_ENDPOINT": "https://example.org",
            "AZURE_OPENAI_DEPLOYMENT_NAME": "chat-prod",
            "AZURE_OPENAI_MODEL": f" {model} ",
        },
    )
    service = AzureOpenAIService(api_key="k", encodings=encodings, quota=Unlimited())
    around = service.count_tokens([{"role": "user", "content": ""}])
    prompt = [{"role": "user", "content": "Wie geht es dir? Überraschung: Größenverhältnisse"}]
    assert service.count_tokens(prompt) - around == tokens


def test_a_reasoning_model_behind_the_deployment_is_left_room_to_think(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {"AZURE_OPENAI_DEPLOYMENT_NAME": "chat-prod", "AZURE_OPENAI_MODEL": "o3-mini"})
    service = AzureOpenAIService(endpoint="https://example.org", api_key="k", quota=Unlimited())
    prompt = [{"role": "user", "content": "hi"}]
    assert service.estimate_token_count(prompt) - service.count_tokens(prompt) == 8192


@pytest.mark.parametrize(
    ("model", "complaint"),
    [(" ", "or set AZURE_OPENAI_MODEL beside AZURE_OPENAI_DEPLOYMENT_NAME"), ("gemma", "AZURE_OPENAI_MODEL.*gemma")],
)
def test_a_deployment_without_a_known_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, model: str, complaint: str
) -> None:
    set_environment(monkeypatch, {"AZURE_OPENAI_DEPLOYMENT_NAME": "chat-prod", "AZURE_OPENAI_MODEL": model})
    with pytest.raises(ValueError, match=complaint):
        AzureOpenAIService(endpoint="https://example.org", api_key="k", quota=Unlimited())


def test_the_environments_model_says_nothing_of_a_deployment_given_as_an_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_environment(monkeypatch, {"AZURE_OPENAI_DEPLOYMENT_NAME": "gpt-4o", "AZURE_OPENAI_MODEL": "gpt-4o"})
    with pytest.raises(ValueError, match="encodings has no entry for 'chat-prod'"):
        AzureOpenAIService("chat-prod", endpoint="https://example.org", api_key="k", quota=Unlimited())


@pytest.mark.parametrize("suffix", ["", "/", "/openai", "/openai/v1/"])
async def test_an_endpoint_may_be_written_with_its_path(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota", suffix: str
) -> None:
    endpoint.says("hello")
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=endpoint.url + suffix, api_key="k") as service:
        await service.send_prompt("", "hi")
    assert endpoint.requests[0].path == "/openai/v1/chat/completions"


async def test_a_version_selects_the_classic_route(endpoint: "ScriptedEndpoint", quota: "RecordingQuota") -> None:
    endpoint.says("hello")
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k", api_version="2024-10-21"
    ) as service:
        await service.send_prompt("", "hi")
    (seen,) = endpoint.requests
    assert seen.path == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    assert seen.headers["api-key"] == "k"


@pytest.mark.parametrize("version", [None, "2024-10-21"])
async def test_a_credential_signs_in_and_is_not_closed(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota", monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a credential wins over the environment's key")
    endpoint.says("hello")
    credential = Credential()
    async with AzureOpenAIService(
        "gpt-4o",
        quota=quota,
        endpoint=endpoint.url,
        credential=credential,
        scope="https://example.org/.default",
        api_version=version,
    ) as service:
        await service.send_prompt("", "hi")
    assert endpoint.requests[0].headers["authorization"] == "Bearer entra-token"
    assert credential.scopes == ["https://example.org/.default"]
    assert not credential.closed


@pytest.mark.skipif(
    not hasattr(openai.lib.azure, "_resolve_azure_auth"),
    reason="the oldest SDKs' Azure client reads its own variables beside an explicit credential",
)
async def test_the_keys_of_the_sdks_own_variables_are_not_used(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota", monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = ("AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")
    set_environment(monkeypatch, dict.fromkeys(stray, "stray"))
    endpoint.says("hello")
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=endpoint.url, credential=Credential(), api_version="2024-10-21"
    ) as service:
        await service.send_prompt("", "hi")
    (seen,) = endpoint.requests
    assert seen.headers["authorization"] == "Bearer entra-token"
    assert "api-key" not in seen.headers


async def test_a_credential_that_fails_is_the_environments_fault_and_nothing_is_charged(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    async with AzureOpenAIService(
        "gpt-4o", quota=quota, endpoint=endpoint.url, credential=Credential(works=False)
    ) as service:
        with pytest.raises(EndpointUnavailable, match="no_token") as caught:
            await service.send_prompt("", "hi", max_retries=0)
    assert caught.value.environment
    assert quota.reservations[0].released
    assert not endpoint.requests


async def test_a_client_that_was_given_is_used_and_stays_open(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.fails(500, headers={"retry-after-ms": "1"})
    endpoint.says("hello")
    async with AsyncOpenAI(api_key="theirs", base_url=f"{endpoint.url}/openai/v1", max_retries=5) as client:
        async with AzureOpenAIService("gpt-4o", quota=quota, client=client) as service:
            assert await service.send_prompt("", "hi") == "hello"
        assert not client.is_closed()
    assert endpoint.ids == quota.ids, "its own retries are off: each request has a reservation"


async def test_a_timeout_holds_for_a_transport_that_was_given(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.hangs()
    async with httpx2.AsyncClient() as http_client:
        async with AzureOpenAIService(
            "gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k", http_client=http_client, timeout=0.05
        ) as service:
            with pytest.raises(EndpointUnavailable, match="timeout"):
                await service.send_prompt("", "hi", max_retries=0, deadline=30)
        assert not http_client.is_closed


async def test_a_transport_that_was_given_keeps_its_own_timeout(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    endpoint.hangs()
    async with (
        httpx2.AsyncClient(timeout=0.05) as http_client,
        AzureOpenAIService(
            "gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k", http_client=http_client
        ) as service,
    ):
        with pytest.raises(EndpointUnavailable, match="timeout"):
            await service.send_prompt("", "hi", max_retries=0, deadline=30)


async def test_a_quota_that_was_given_stays_open(endpoint: "ScriptedEndpoint", quota: "RecordingQuota") -> None:
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k"):
        pass
    assert (await quota.lock_tokens(1)).allowed


async def test_without_quota_and_counter_there_is_no_limit_and_one_warning(
    endpoint: "ScriptedEndpoint", caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.says("hello")
    with caplog.at_level(logging.WARNING):
        async with AzureOpenAIService("gpt-4o", endpoint=endpoint.url, api_key="k") as service:
            await service.send_prompt("", "hi")
    (record,) = caplog.records
    assert "TOKEN_COUNTER_URL" in record.getMessage()


@pytest.fixture
async def counter() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A token counter's address and what it was asked."""
    asked: list[dict[str, Any]] = []

    async def lock(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"allowed": True, "request_id": "token:rate", "rate_request_id": "rate"})

    async def report(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"success": True, "known": True})

    application = web.Application()
    application.router.add_post("/{any:.*}lock", lock)
    application.router.add_post("/{any:.*}report", report)
    async with TestServer(application, host="127.0.0.1") as server:
        yield str(server.make_url("")), asked


async def test_the_counter_of_the_environment_is_asked_under_the_app_id(
    endpoint: "ScriptedEndpoint",
    counter: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, asked = counter
    monkeypatch.setenv("TOKEN_COUNTER_URL", url)
    endpoint.says("hello", usage=(9, 3))
    async with AzureOpenAIService("gpt-4o", "feedback", endpoint=endpoint.url, api_key="k") as service:
        await service.send_prompt("", "hi")
    locked, reported = asked
    assert (locked["app_id"], locked["max_tokens"]) == ("feedback", 1024)
    assert (reported["prompt_tokens"], reported["completion_tokens"]) == (9, 3)
    assert endpoint.ids == ["token:rate"]


async def test_a_service_that_was_closed_reserves_nothing(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    where: dict[str, Any] = {"quota": quota, "endpoint": endpoint.url, "api_key": "k"}
    async with AzureOpenAIService(
        "gpt-4o", embedding_model="text-embedding-3-small", embedding_quota=quota, **where
    ) as service:
        pass

    async def read() -> None:
        async with service.stream_prompt("", "hi"):
            pytest.fail("there is nothing to read")

    for call in (service.send_prompt("", "hi"), service.create_embedding(["hi"]), read()):
        with pytest.raises(RuntimeError, match="was closed"):
            await call
    assert not quota.reservations
    assert not endpoint.requests


async def test_a_service_that_is_closed_while_a_call_waits_for_quota_gives_it_back(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    tight = type(quota)(tpm=2_000)
    held = await tight.lock_tokens(1_500)
    async with AzureOpenAIService("gpt-4o", quota=tight, endpoint=endpoint.url, api_key="k") as service:
        waiting = asyncio.create_task(service.send_prompt("", "hi"))
        while (await tight.get_status() or {})["waiting"] == 0:
            await asyncio.sleep(0.01)
    await tight.release_tokens(held.request_id or "")

    with pytest.raises(RuntimeError, match="was closed"):
        await waiting
    assert await tight.charged() == 0
    assert not endpoint.requests


async def test_nor_does_one_whose_fallback_was_closed_ask_that(
    endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
) -> None:
    where: dict[str, Any] = {"quota": quota, "endpoint": endpoint.url, "api_key": "k"}
    endpoint.fails(503)
    async with AzureOpenAIService("gpt-4o-eu", **where) as second:
        pass
    async with AzureOpenAIService("gpt-4o", fallbacks=[second], **where) as service:
        with pytest.raises(RuntimeError, match="gpt-4o-eu was closed"):
            await service.send_prompt("", "hi")
    assert quota.ids == endpoint.ids
    assert len(quota.ids) == 1


def test_a_test_that_reaches_for_the_network_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"a test reached for 192\.0\.2\.1"), socket.socket() as reaching:
        reaching.connect(("192.0.2.1", 443))
    with pytest.raises(AssertionError, match="a test reached for name"):
        socket.getaddrinfo("name.openai.azure.com", 443)
