from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from penstock_token_client import TokenClient, TokenCounterUnavailable

if TYPE_CHECKING:
    from conftest import ScriptedCounter


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN_COUNTER_URL", "TOKEN_COUNTER_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("url", ["counter:8001", "ftp://x", "http://", "http://x:y", "http://[1"])
def test_what_is_no_address_names_argument_and_variable(url: str) -> None:
    with pytest.raises(ValueError, match=r"base_url \(or TOKEN_COUNTER_URL\)"):
        TokenClient("feedback", url)


def test_an_address_with_credentials_is_refused_without_repeating_them() -> None:
    with pytest.raises(ValueError, match="TOKEN_COUNTER_KEY") as refusal:
        TokenClient("feedback", "http://me:canary@x")

    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("faulty", [{"pool": "a/b"}, {"pool": ""}, {"timeout": 0}, {"timeout": float("nan")}])
def test_other_bad_arguments_are_refused_by_name(faulty: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(faulty))):
        TokenClient("feedback", **faulty)


async def test_the_key_travels_as_a_bearer_and_is_shown_nowhere(
    counter: ScriptedCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_COUNTER_KEY", "canary")
    async with TokenClient("feedback", counter.url) as client:
        await client.lock_tokens(1)

    assert counter.headers[0]["Authorization"] == "Bearer canary"
    assert "canary" not in repr(client)


class Credential:
    def __init__(self) -> None:
        self.token = "canary"

    async def get_token(self, *scopes: str) -> Credential:
        if scopes != ("api://counter/.default",):
            raise RuntimeError("canary in a credential's own error")
        return self


async def test_a_credential_gives_the_bearer(counter: ScriptedCounter) -> None:
    async with TokenClient("feedback", counter.url, credential=Credential(), scope="api://counter/.default") as client:
        assert (await client.lock_tokens(1)).allowed

    assert counter.headers[0]["Authorization"] == "Bearer canary"


async def test_a_credential_that_fails_is_a_client_error_without_its_words(counter: ScriptedCounter) -> None:
    async with TokenClient("feedback", counter.url, credential=Credential(), scope="another") as client:
        error = (await client.lock_tokens(1)).error

    assert error == "Client error: the credential gave no token: RuntimeError"


class SlowCredential(Credential):
    async def get_token(self, *_: str) -> Credential:
        await asyncio.sleep(20)
        return self


async def test_a_credential_that_does_not_answer_holds_nobody_beyond_the_deadline(counter: ScriptedCounter) -> None:
    async with TokenClient("feedback", counter.url, credential=SlowCredential(), scope="s", timeout=60.0) as client:
        with pytest.raises(TokenCounterUnavailable, match="no answer within"):
            async with client.reserve(10, deadline=0.1):
                raise AssertionError

    assert counter.calls == []


def test_key_and_credential_together_are_refused() -> None:
    with pytest.raises(ValueError, match="either key or credential"):
        TokenClient("feedback", key="k", credential=Credential(), scope="s")
    with pytest.raises(ValueError, match="scope"):
        TokenClient("feedback", credential=Credential())


async def test_another_pool_has_another_path(counter: ScriptedCounter) -> None:
    counter.script("pools/embedding/lock", {"allowed": True, "request_id": "a:b"})
    async with TokenClient("feedback", counter.url, pool="embedding") as client:
        assert (await client.lock_tokens(1)).allowed

    assert [call for call, _ in counter.calls] == ["pools/embedding/lock"]
