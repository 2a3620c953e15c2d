"""Embeddings: of the right length, the same for the same text, and counted by their inputs alone."""

import asyncio
from math import hypot, isclose

import openai
import pytest
from openai import AsyncOpenAI

from penstock_local_azure import Deployment, OpenAI
from penstock_tokenizers import encoding_for

SMALL = "text-embedding-3-small"
TOKENS = encoding_for(SMALL).encode_ordinary("late parcel")


async def embedding(client: AsyncOpenAI, text: str, model: str = SMALL, **options: int) -> list[float]:
    (answered,) = (await client.embeddings.create(model=model, input=text, **options)).data  # type: ignore[arg-type]
    return answered.embedding


def near(one: list[float], other: list[float]) -> bool:
    """Compare what went over the wire as floats of 32 bits."""
    return all(isclose(a, b, abs_tol=1e-6) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("model", "length"), [(SMALL, 1_536), ("text-embedding-3-large", 3_072), ("text-embedding-ada-002", 1_536)]
)
async def test_a_vector_has_its_model_s_length_and_is_of_unit_length(
    client: AsyncOpenAI, model: str, length: int
) -> None:
    vector = await embedding(client, "hello", model)

    assert len(vector) == length
    assert isclose(hypot(*vector), 1, abs_tol=1e-6)


async def test_a_shorter_one_is_the_beginning_of_the_long_one_at_unit_length_again(client: AsyncOpenAI) -> None:
    long, short = await embedding(client, "hello"), await embedding(client, "hello", dimensions=256)

    length = hypot(*long[:256])
    assert near(short, [value / length for value in long[:256]])


async def test_the_same_text_has_the_same_vector_in_every_run_and_others_with_other_texts_and_models(
    v1: AsyncOpenAI,
) -> None:
    one, same, other = [await embedding(v1, text) for text in ("hello", "hello", "Hello")]
    async with (
        OpenAI([Deployment(SMALL)], latency=0.0) as another,
        AsyncOpenAI(base_url=f"{another.endpoint}/openai/v1/", api_key=another.api_key) as client,
    ):
        later = await embedding(client, "hello")

    assert one == same == later
    assert not near(one, await embedding(v1, "hello", "text-embedding-ada-002"))
    assert abs(sum(a * b for a, b in zip(one, other, strict=True))) < 0.2


async def test_several_inputs_come_back_in_their_order(client: AsyncOpenAI) -> None:
    texts = [f"text {number}" for number in range(50)]

    answered = await client.embeddings.create(model=SMALL, input=texts)

    assert [each.index for each in answered.data] == list(range(50))
    assert near(answered.data[7].embedding, await embedding(client, "text 7"))


async def test_floats_and_base64_say_the_same(client: AsyncOpenAI) -> None:
    floats = await client.embeddings.create(model=SMALL, input="hello", encoding_format="float")
    coded = await client.embeddings.create(model=SMALL, input="hello", encoding_format="base64")

    assert isinstance(coded.data[0].embedding, str)  # asked for by name, the SDK leaves it as it is
    assert near(floats.data[0].embedding, await embedding(client, "hello"))


async def test_tokens_are_the_text_they_stand_for(client: AsyncOpenAI) -> None:
    one = await client.embeddings.create(model=SMALL, input=TOKENS)
    two = await client.embeddings.create(model=SMALL, input=[TOKENS, TOKENS])

    text = await embedding(client, "late parcel")
    assert near(one.data[0].embedding, text)
    assert [near(each.embedding, text) for each in two.data] == [True, True]
    assert (one.usage.prompt_tokens, two.usage.total_tokens) == (len(TOKENS), 2 * len(TOKENS))


async def test_the_inputs_are_judged_and_billed_and_nothing_more(server: OpenAI, v1: AsyncOpenAI) -> None:
    answered = await v1.embeddings.create(model=SMALL, input=["late parcel", "late parcel"])

    account = server.stats()[SMALL]
    assert answered.usage.prompt_tokens == 2 * len(TOKENS)
    assert (account["judged_tokens"], account["billed_tokens"]) == (2 * len(TOKENS), 2 * len(TOKENS))
    assert server.stats()["gpt-4o"]["requests"] == 0


async def test_too_many_tokens_are_429_here_as_well() -> None:
    async with (
        OpenAI([Deployment(SMALL, tpm=10)], judge="exact", latency=0.0) as server,
        AsyncOpenAI(base_url=f"{server.endpoint}/openai/v1/", api_key=server.api_key, max_retries=0) as client,
    ):
        with pytest.raises(openai.RateLimitError):
            await client.embeddings.create(model=SMALL, input="late parcel " * 10)


async def test_a_deployment_does_what_its_model_is_for(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="embeddings operation") as chat:
        await client.embeddings.create(model="gpt-4o", input="hello")
    with pytest.raises(openai.BadRequestError, match="chatCompletion operation"):
        await client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "hello"}])

    assert chat.value.code == "OperationNotSupported"


async def test_a_deployment_may_do_both(client: AsyncOpenAI) -> None:
    assert await embedding(client, "hello", "everything")
    assert await client.chat.completions.create(model="everything", messages=[{"role": "user", "content": "hello"}])


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["hello", ""]}, "input"),
        ({"input": [[1, 2], ["three"]]}, "input"),
        ({"input": [10**9]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [10**30]}, "input"),
        ({"input": ["hello"] * 2_049}, "input"),
        ({"input": "hello " * 8_200}, "input"),
        ({"input": ["hello " * 8_000] * 40}, "input"),
        ({"input": " " * 2_000_000}, "input"),
        ({"input": 7}, "input"),
        ({"dimensions": 1_537}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"model": "text-embedding-ada-002", "dimensions": 100}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"extra_body": {"inputs": "hello"}}, "inputs"),
    ],
)
async def test_a_wrong_parameter_is_named(v1: AsyncOpenAI, options: dict[str, object], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await v1.embeddings.create(**{"model": SMALL, "input": "hello", **options})  # type: ignore[arg-type]

    assert refused.value.param == param


async def test_the_synchronous_client_is_served_as_well(server: OpenAI, v1: AsyncOpenAI) -> None:
    def embed() -> list[float]:
        with openai.OpenAI(base_url=f"{server.endpoint}/openai/v1/", api_key=server.api_key) as client:
            return client.embeddings.create(model=SMALL, input="hello").data[0].embedding

    assert await asyncio.to_thread(embed) == await embedding(v1, "hello")
