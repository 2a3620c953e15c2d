"""The service, as code that was written against its predecessor uses it, against endpoints on the wire."""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

import pytest
from pydantic import BaseModel, Field

from penstock_llm import AzureOpenAIService, EndpointUnavailable, InvalidAnswer
from penstock_local_azure import Deployment, OpenAI
from penstock_token_client import LocalQuota, TokenLimitExceeded
from penstock_tokenizers import count_messages, encoding_for

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint

PROMPT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How was it?"}]
SOON = {"retry-after-ms": "20"}


class Feedback(BaseModel):
    sentiment: Literal["positive", "neutral", "negative"]
    score: int = Field(ge=1, le=5)
    topics: list[str]


GOOD = Feedback(sentiment="positive", score=5, topics=["speed"])
INVALID = '{"sentiment": "furious", "score": 9, "topics": []}'


@pytest.fixture
async def standin() -> AsyncIterator[OpenAI]:
    deployments = [Deployment("gpt-4o"), Deployment("gpt-4")]
    async with OpenAI(deployments, judge="exact", seed=7, latency=0.0) as running:
        yield running


@pytest.fixture
def environment(standin: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that a deployed service has."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", standin.endpoint + "/")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", standin.api_key)
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT_NAME", "gpt-4")
    monkeypatch.setenv("AZURE_OPENAI_API_VERSION", "2023-05-15")


def account(standin: OpenAI, deployment: str) -> tuple[int, int]:
    """Tell how many requests a deployment saw, and how many tokens it billed."""
    stats = standin.stats()[deployment]
    return stats["requests"], stats["billed_tokens"]


def reported(quota: "RecordingQuota") -> int:
    """Add up what was reported."""
    return sum(sum(report["usage"]) for reservation in quota.reservations for report in reservation.reports)


class TestAzureOpenAIServiceInit:
    @pytest.mark.usefixtures("environment")
    async def test_init_with_env_vars(self, standin: OpenAI, quota: "RecordingQuota") -> None:
        async with AzureOpenAIService(quota=quota) as service:
            await service.send_prompt("Be kind.", "How was it?")

        assert account(standin, "gpt-4") == (1, reported(quota))
        assert account(standin, "gpt-4o") == (0, 0)

    @pytest.mark.usefixtures("environment")
    async def test_init_with_custom_model(self, standin: OpenAI, quota: "RecordingQuota") -> None:
        async with AzureOpenAIService("gpt-4o", quota=quota) as service:
            await service.send_prompt("Be kind.", "How was it?")

        assert account(standin, "gpt-4o") == (1, reported(quota))
        assert account(standin, "gpt-4") == (0, 0)

    @pytest.mark.usefixtures("environment")
    @pytest.mark.parametrize(
        ("argument", "variable"),
        [("endpoint", "AZURE_OPENAI_ENDPOINT"), ("model", "AZURE_OPENAI_DEPLOYMENT_NAME")],
    )
    def test_init_with_missing_configuration(
        self, monkeypatch: pytest.MonkeyPatch, argument: str, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "  ")

        with pytest.raises(ValueError, match=f"{argument} is missing: pass {argument}= or set {variable}"):
            AzureOpenAIService()


class TestAzureOpenAIServiceTokenCounting:
    def test_count_tokens(self, service: AzureOpenAIService) -> None:
        # Three for each message, three that prime the answer, and the text: system, Be kind., user, How was it?
        assert service.count_tokens(PROMPT) == 2 * 3 + 3 + 1 + 3 + 1 + 4

    def test_count_tokens_of_messages_with_names(self, service: AzureOpenAIService) -> None:
        named = [PROMPT[0], {**PROMPT[1], "name": "ada"}]

        assert service.count_tokens(named) == service.count_tokens(PROMPT) + 1 + 1

    def test_count_tokens_with_model_specific_encoding(self, endpoint: "ScriptedEndpoint") -> None:
        text = [{"role": "user", "content": "配送が三日遅れました。"}]
        counts = {
            model: AzureOpenAIService(model, endpoint=endpoint.url, api_key="k", quota=LocalQuota(tpm=1, rpm=1))
            for model in ("gpt-4o", "gpt-4")
        }

        assert counts["gpt-4o"].count_tokens(text) == count_messages(encoding_for("o200k_base"), text)
        assert counts["gpt-4"].count_tokens(text) == count_messages(encoding_for("cl100k_base"), text)
        assert counts["gpt-4o"].count_tokens(text) < counts["gpt-4"].count_tokens(text)

    def test_estimate_token_count(self, service: AzureOpenAIService) -> None:
        assert service.estimate_token_count(PROMPT, max_tokens=100) == service.count_tokens(PROMPT) + 100

    async def test_estimate_token_count_with_schema_overhead(self, standin: OpenAI, quota: "RecordingQuota") -> None:
        async with AzureOpenAIService(
            "gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key
        ) as service:
            estimate = service.estimate_token_count(PROMPT, max_tokens=100, response_model=Feedback)
            completion = await service.complete(Feedback, PROMPT, max_tokens=100)

        assert estimate > service.estimate_token_count(PROMPT, max_tokens=100)
        assert completion.usage.prompt_tokens <= estimate - 100 <= completion.usage.prompt_tokens + 20


class TestAzureOpenAIServicePromptFormatting:
    def test_format_prompt_simple(self, service: AzureOpenAIService) -> None:
        assert service.format_prompt("Be kind.", "How was it?") == PROMPT

    def test_format_prompt_with_variables(self, service: AzureOpenAIService) -> None:
        messages = service.format_prompt("You read {kind}.", "{text}", {"kind": "reviews", "text": "{text} {"})

        assert [message["content"] for message in messages] == ["You read reviews.", "{text} {"]

    def test_format_prompt_with_variables_and_examples(self, service: AzureOpenAIService) -> None:
        messages = service.format_prompt(
            "You read {kind}.", "{text}", variables={"kind": "reviews", "text": "Fine."}, examples=[("Great!", GOOD)]
        )

        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
        assert [message["content"] for message in messages[:2]] == ["You read reviews.", "Great!"]
        assert Feedback.model_validate_json(messages[2]["content"]) == GOOD
        assert messages[3]["content"] == "Fine."

    def test_format_prompt_missing_variable(self, service: AzureOpenAIService) -> None:
        with pytest.raises(ValueError, match="no value for text, which user_prompt names"):
            service.format_prompt("You read {kind}.", "{text}", {"kind": "reviews"})


class TestAzureOpenAIServiceStructuredOutput:
    async def test_structured_completion_success(self, standin: OpenAI, quota: "RecordingQuota") -> None:
        async with AzureOpenAIService(
            "gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key
        ) as service:
            feedback = await service.structured_completion(Feedback, PROMPT)

        assert Feedback.model_validate(feedback.model_dump()) == feedback
        assert account(standin, "gpt-4o") == (1, reported(quota))

    async def test_structured_completion_validation_error(
        self, service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
    ) -> None:
        endpoint.says(INVALID, usage=(40, 12))
        endpoint.says(INVALID, usage=(80, 12))

        with pytest.raises(InvalidAnswer) as caught:
            await service.structured_completion(Feedback, PROMPT, max_retries=1)

        assert {location for location, _ in caught.value.failures} == {"sentiment", "score"}
        assert caught.value.usage.total_tokens == 144 == reported(quota), "what was rejected was paid for, too"

    async def test_structured_completion_corrected_after_validation_error(
        self, service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
    ) -> None:
        endpoint.says(INVALID)
        endpoint.says(GOOD.model_dump_json())

        assert await service.structured_completion(Feedback, PROMPT) == GOOD
        assert endpoint.ids == quota.ids
        assert len(set(quota.ids)) == 2

    async def test_structured_completion_api_error(
        self, service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
    ) -> None:
        endpoint.fails(401, code="401")

        with pytest.raises(EndpointUnavailable) as caught:
            await service.structured_completion(Feedback, PROMPT)

        assert (caught.value.status, caught.value.environment) == (401, True)
        assert endpoint.ids == quota.ids, "asking again would not help"

    async def test_structured_completion_token_limit_exceeded(
        self, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
    ) -> None:
        small = type(quota)(tpm=1_000)
        async with AzureOpenAIService("gpt-4o", quota=small, endpoint=endpoint.url, api_key="k") as service:
            with pytest.raises(TokenLimitExceeded) as caught:
                await service.structured_completion(Feedback, PROMPT, max_tokens=1_000)

        assert caught.value.permanent
        assert caught.value.token_count > 1_000
        assert not endpoint.requests

    async def test_structured_completion_retry_on_rate_limit(
        self, service: AzureOpenAIService, endpoint: "ScriptedEndpoint", quota: "RecordingQuota"
    ) -> None:
        endpoint.fails(429, code="429", headers=SOON)
        endpoint.says(GOOD.model_dump_json())

        assert await service.structured_completion(Feedback, PROMPT) == GOOD
        assert quota.statuses == ["429", "ok"]
        assert endpoint.ids == quota.ids

    async def test_structured_completion_waits_for_tokens(self, endpoint: "ScriptedEndpoint") -> None:
        endpoint.says(GOOD.model_dump_json())
        async with LocalQuota(tpm=1_000, rpm=600, window=1.0) as quota:
            locked, since = await quota.lock_tokens(900), time.monotonic()
            async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=endpoint.url, api_key="k") as service:
                completion = await service.complete(Feedback, PROMPT, max_tokens=200)

        assert locked.allowed
        assert completion.value == GOOD
        assert time.monotonic() - since >= 1.0, "the tokens locked before had to age out"


class TestAzureOpenAIServiceIntegration:
    @pytest.mark.usefixtures("environment")
    async def test_full_service_lifecycle(self, standin: OpenAI, quota: "RecordingQuota") -> None:
        async with AzureOpenAIService("gpt-4o", "feedback", quota=quota) as service:
            messages = service.format_prompt("You read {kind}.", "{text}", {"kind": "reviews", "text": "Too slow."})
            estimate = service.estimate_token_count(messages, max_tokens=300, response_model=Feedback)
            completion = await service.complete(Feedback, messages, max_tokens=300)

        (reservation,) = quota.reservations
        (attempt,) = completion.attempts
        assert (reservation.reserved, attempt.request_id) == (estimate, reservation.request_id)
        assert account(standin, "gpt-4o") == (1, completion.usage.total_tokens)

    @pytest.mark.usefixtures("environment")
    async def test_token_client_interaction(self, standin: OpenAI, quota: "RecordingQuota") -> None:
        async with AzureOpenAIService("gpt-4o", quota=quota) as service:
            for _ in range(3):
                await service.structured_completion(Feedback, PROMPT)

        judged = standin.stats()["gpt-4o"]["judged_tokens"]
        assert account(standin, "gpt-4o") == (3, reported(quota))
        assert [len(reservation.reports) for reservation in quota.reservations] == [1, 1, 1]
        assert judged <= sum(reservation.reserved for reservation in quota.reservations)
        assert quota.unreported == 0
