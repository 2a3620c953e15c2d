"""Embeddings: in order, in batches within the service's limits, under the quota of their own deployment."""

import json
import math
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_llm import AzureOpenAIService, EndpointUnavailable, _embeddings
from penstock_llm._embeddings import batches
from penstock_local_azure import OpenAI
from penstock_token_client import Unlimited
from penstock_tokenizers import count_text

if TYPE_CHECKING:
    from conftest import RecordingQuota, ScriptedEndpoint

MODEL = "text-embedding-3-small"


@pytest.fixture
def pool(quota: "RecordingQuota") -> "RecordingQuota":
    return type(quota)()


@pytest.fixture(params=[None, "2024-10-21"])
async def service(
    request: pytest.FixtureRequest, standin: OpenAI, quota: "RecordingQuota", pool: "RecordingQuota"
) -> AsyncIterator[AzureOpenAIService]:
    async with AzureOpenAIService(
        "gpt-4o",
        quota=quota,
        endpoint=standin.endpoint,
        api_key=standin.api_key,
        api_version=request.param,
        embedding_model=MODEL,
        embedding_quota=pool,
    ) as made:
        yield made


async def test_each_text_has_its_vector_at_its_place(
    service: AzureOpenAIService, standin: OpenAI, quota: "RecordingQuota", pool: "RecordingQuota"
) -> None:
    once = await service.create_embedding(["late", "kind"])
    again = await service.create_embedding(["kind"])

    assert [len(vector) for vector in once] == [1536, 1536]
    assert once[1] == again[0] != once[0]
    assert math.hypot(*once[0]) == pytest.approx(1.0, abs=1e-3)
    assert not quota.reservations
    assert [request.id for request in standin.requests] == pool.ids
    assert [reservation.reserved for reservation in pool.reservations] == [2, 1]
    assert [reservation.max_tokens for reservation in pool.reservations] == [0, 0]
    reported = [report["usage"] for reservation in pool.reservations for report in reservation.reports]
    assert reported == [(request.prompt_tokens, 0) for request in standin.requests]


async def test_many_texts_go_in_batches_each_under_a_reservation_of_its_own(
    service: AzureOpenAIService, standin: OpenAI, pool: "RecordingQuota"
) -> None:
    texts = [f"number {number}" for number in range(10)]

    vectors = await service.create_embedding(texts, batch_tokens=8, dimensions=8)

    assert [len(request.body["input"]) for request in standin.requests] == [2, 2, 2, 2, 2]
    assert [text for request in standin.requests for text in request.body["input"]] == texts
    assert [request.id for request in standin.requests] == pool.ids
    assert [len(vector) for vector in vectors] == [8] * 10
    assert len({tuple(vector) for vector in vectors}) == 10


@pytest.mark.parametrize(("texts", "inline"), [(["late"] * 3, True), (["late " * 500] * 20, False)])
async def test_only_a_few_texts_are_counted_on_the_event_loop(
    service: AzureOpenAIService,
    monkeypatch: pytest.MonkeyPatch,
    texts: list[str],
    inline: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    threads: list[int] = []

    def counted(encoding: Any, text: str) -> int:
        threads.append(threading.get_ident())
        return count_text(encoding, text)

    monkeypatch.setattr(_embeddings, "count_text", counted)
    await service.create_embedding(texts, dimensions=8)

    assert len(threads) == len(texts)
    assert {thread == threading.get_ident() for thread in threads} == {inline}


async def test_no_texts_have_no_vectors(service: AzureOpenAIService, standin: OpenAI) -> None:
    assert await service.create_embedding([]) == []
    assert not standin.requests


async def test_a_batch_that_comes_too_early_is_sent_again(endpoint: "ScriptedEndpoint", pool: "RecordingQuota") -> None:
    endpoint.fails(429, headers={"retry-after-ms": "1"})
    vector = {"index": 0, "embedding": [0.6, 0.8]}
    endpoint.sends(200, json.dumps({"data": [vector], "usage": {"prompt_tokens": 1}}))
    async with AzureOpenAIService(
        "gpt-4o", endpoint=endpoint.url, api_key="k", quota=pool, embedding_model=MODEL, embedding_quota=pool
    ) as service:
        assert await service.create_embedding(["late"]) == [[0.6, 0.8]]

    assert pool.statuses == ["429", "ok"]
    assert endpoint.ids == pool.ids


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "{}",
        '{"data": []}',
        '{"data": [{"index": 1, "embedding": [1.0]}]}',
        '{"data": [{"index": 0, "embedding": "###"}]}',
    ],
)
async def test_what_is_no_answer_is_the_endpoints_fault(
    endpoint: "ScriptedEndpoint", pool: "RecordingQuota", body: str
) -> None:
    endpoint.sends(200, body)
    async with AzureOpenAIService(
        "gpt-4o", endpoint=endpoint.url, api_key="k", quota=pool, embedding_model=MODEL, embedding_quota=pool
    ) as service:
        with pytest.raises(EndpointUnavailable, match="malformed_answer"):
            await service.create_embedding(["late"], max_retries=0)

    assert pool.statuses == ["error"]


@pytest.mark.parametrize(
    ("texts", "options", "complaint"),
    [
        ("late", {}, "texts must be a list of strings, not str"),
        (["late", 7], {}, r"texts\[1\] must be a string, not int"),
        (["late", ""], {}, r"texts\[1\] must not be empty"),
        (["late", "late " * 9_000], {}, r"texts\[1\] has 9\d\d\d tokens, more than the 8192"),
        (["late"], {"dimensions": 0}, "dimensions must be a whole number of at least 1"),
        (["late"], {"batch_tokens": 0}, "batch_tokens must be a whole number of at least 1"),
        (["late"], {"max_retries": -1}, "max_retries must be a whole number of at least 0"),
        (["late"], {"deadline": 0}, "deadline must be a positive number"),
    ],
)
async def test_arguments_are_checked_before_anything_is_sent(
    service: AzureOpenAIService, standin: OpenAI, texts: Any, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        await service.create_embedding(texts, **options)
    assert not standin.requests


async def test_without_a_deployment_for_them_there_are_none(standin: OpenAI, quota: "RecordingQuota") -> None:
    async with AzureOpenAIService("gpt-4o", quota=quota, endpoint=standin.endpoint, api_key=standin.api_key) as service:
        with pytest.raises(ValueError, match="embedding_model is missing"):
            await service.create_embedding(["late"])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"embedding_model": MODEL}, "embedding_quota is missing: quota is that of another deployment"),
        ({"embedding_model": "vectors", "embedding_quota": Unlimited()}, "encodings has no entry for 'vectors'"),
    ],
)
def test_options_of_the_service_are_checked(quota: "RecordingQuota", options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AzureOpenAIService("gpt-4o", endpoint="http://127.0.0.1:9", api_key="k", quota=quota, **options)


@given(counts=st.lists(st.integers(1, 8_192), max_size=60), most=st.integers(1, 20_000))
def test_batches_hold_all_texts_in_order_and_no_more_tokens_than_allowed(counts: list[int], most: int) -> None:
    texts = [str(number) for number in range(len(counts))]
    cut = list(batches(texts, counts, most, None))
    assert [text for batch in cut for text in batch.texts] == texts
    assert [batch.tokens for batch in cut] == [
        sum(counts[int(batch.texts[0]) : int(batch.texts[-1]) + 1]) for batch in cut
    ]
    assert all(batch.tokens <= most or len(batch.texts) == 1 for batch in cut)


def test_a_batch_holds_no_more_texts_than_the_service_takes() -> None:
    sizes = [len(batch.texts) for batch in batches(["x"] * 5_000, [1] * 5_000, 100_000, None)]
    assert sizes == [2_048, 2_048, 904]


@pytest.mark.parametrize("name", [MODEL, "text-embedding-3-large"])
async def test_only_a_deployment_of_the_same_name_stands_in_for_one_that_fails(
    standin: OpenAI, endpoint: "ScriptedEndpoint", quota: "RecordingQuota", pool: "RecordingQuota", name: str
) -> None:
    other = type(quota)()
    endpoint.fails(503)
    async with (
        AzureOpenAIService(
            "gpt-4o-eu",
            quota=quota,
            endpoint=standin.endpoint,
            api_key=standin.api_key,
            embedding_model=name,
            embedding_quota=other,
        ) as second,
        AzureOpenAIService(
            "gpt-4o",
            quota=quota,
            endpoint=endpoint.url,
            api_key="k",
            embedding_model=MODEL,
            embedding_quota=pool,
            fallbacks=[second],
        ) as first,
    ):
        if name == MODEL:
            assert await first.create_embedding(["late"]) == await second.create_embedding(["late"])
        else:
            with pytest.raises(EndpointUnavailable):
                await first.create_embedding(["late"], max_retries=0)

    assert endpoint.ids == pool.ids
    assert pool.statuses == ["error"]
    assert [request.id for request in standin.requests] == other.ids
    assert len(other.ids) == (2 if name == MODEL else 0)
