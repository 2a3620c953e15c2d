"""The clients of `structured_calls.py`, each in a process and an environment of its own.

Arguments: the client's name, and the endpoint's address. One line on standard input asks for a measurement, one line
answers. All ask for the same model, with the same prompt, and must return the same object. Set up as their
documentation has it:

- openai (README, "Async usage"): one `AsyncOpenAI` for all calls; the answer's text is validated by the model.
- instructor ("Getting started"): `instructor.from_openai(client)`, `create(response_model=…)`; mode TOOLS, its default.
- pydantic-ai ("Output"): one `Agent(model, output_type=…)`, `await agent.run(prompt)`.
- LiteLLM ("Structured outputs"): `await acompletion(…, response_format=Model)`; the text is validated by the model.
- LangChain ("Structured output"): `ChatOpenAI(…).with_structured_output(Model)`, `await chain.ainvoke(messages)`.
"""

# ruff: noqa: PLC0415  each library is there in its client's own environment only

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import BaseModel, Field

Ask = Callable[[], Awaitable[BaseModel]]

CROWD = 50
SETTLED = 0.6
"""Seconds after which a crowd's requests have been sent, and before its answers come."""
AT_ONCE = 10
MODEL, KEY = "gpt-4o", "k"
SYSTEM = "You read what customers of a bicycle shop write, and say what it is about, how they feel and what they want."
TEXT = "The bell is fine but the bike came two weeks late, and when I called nobody answered the phone. " * 10
MESSAGES: list[dict[str, str]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TEXT}]
MAX_TOKENS = 400


class Product(BaseModel):
    """What the feedback is about."""

    name: str = Field(description="as the customer calls it")
    price: float | None


class Feedback(BaseModel):
    """A customer's feedback, understood."""

    sentiment: Literal["positive", "neutral", "negative"]
    score: int = Field(description="from 1 to 5")
    topics: list[str]
    products: list[Product]
    summary: str


def ours(url: str) -> Ask:
    """Ask through penstock-llm, every attempt under a quota."""
    from penstock_llm import AzureOpenAIService
    from penstock_token_client import LocalQuota

    quota = LocalQuota(tpm=10**9, rpm=10**7)
    service = AzureOpenAIService(MODEL, quota=quota, endpoint=url, api_key=KEY)
    return lambda: service.structured_completion(Feedback, MESSAGES, max_tokens=MAX_TOKENS)


def openai_create(url: str) -> Ask:
    """Ask through the SDK's plain method."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=KEY)
    schema = {"name": "Feedback", "schema": Feedback.model_json_schema()}

    async def ask() -> BaseModel:
        messages: Any = MESSAGES
        form: Any = {"type": "json_schema", "json_schema": schema}
        completion = await client.chat.completions.create(
            model=MODEL, messages=messages, response_format=form, max_completion_tokens=MAX_TOKENS
        )
        return Feedback.model_validate_json(completion.choices[0].message.content or "")

    return ask


def instructor_tools(url: str) -> Ask:
    """Ask through instructor."""
    import instructor
    from openai import AsyncOpenAI

    client = instructor.from_openai(AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=KEY))
    messages: Any = MESSAGES
    return lambda: client.chat.completions.create(
        model=MODEL, messages=messages, response_model=Feedback, max_completion_tokens=MAX_TOKENS
    )


def pydantic_ai(url: str) -> Ask:
    """Ask through pydantic-ai."""
    from openai import AsyncOpenAI
    from pydantic_ai import Agent  # type: ignore[import-not-found]  # lives in an environment of its own
    from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]  # the same
    from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]  # the same

    client = AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=KEY)
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
    agent = Agent(model, output_type=Feedback, instructions=SYSTEM, model_settings={"max_tokens": MAX_TOKENS})

    async def ask() -> BaseModel:
        output: BaseModel = (await agent.run(TEXT)).output
        return output

    return ask


def litellm(url: str) -> Ask:
    """Ask through LiteLLM."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it looks for prices on the network
    from litellm import acompletion  # type: ignore[import-not-found]  # lives in an environment of its own

    async def ask() -> BaseModel:
        completion = await acompletion(
            model=f"openai/{MODEL}",
            base_url=f"{url}/openai/v1",
            api_key=KEY,
            messages=MESSAGES,
            response_format=Feedback,
            max_completion_tokens=MAX_TOKENS,
        )
        return Feedback.model_validate_json(completion.choices[0].message.content)

    return ask


def langchain(url: str) -> Ask:
    """Ask through LangChain."""
    from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]  # lives in an environment of its own

    chat = ChatOpenAI(model=MODEL, base_url=f"{url}/openai/v1", api_key=KEY, max_tokens=MAX_TOKENS)
    chain = chat.with_structured_output(Feedback)
    messages = [("system", SYSTEM), ("user", TEXT)]

    async def ask() -> BaseModel:
        answer: BaseModel = await chain.ainvoke(messages)
        return answer

    return ask


CLIENTS: dict[str, Callable[[str], Ask]] = {
    "ours": ours,
    "create": openai_create,
    "instructor": instructor_tools,
    "pydantic-ai": pydantic_ai,
    "LiteLLM": litellm,
    "LangChain": langchain,
}


async def cpu(ask: Ask, calls: int) -> float:
    """Return the milliseconds of CPU that an answer costs, some at a time."""

    async def some() -> None:
        for _ in range(calls // AT_ONCE):
            await ask()

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.process_time() - began) * 1000 / (calls // AT_ONCE * AT_ONCE)


async def lag(ask: Ask) -> float:
    """Return the longest time, in milliseconds, for which a crowd of answers holds up the loop when they land."""
    crowd = asyncio.gather(*(ask() for _ in range(CROWD)))
    await asyncio.sleep(SETTLED)
    longest, last = 0.0, time.perf_counter()
    while not crowd.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await crowd
    return longest * 1000


async def reservation(pairs: int) -> float:
    """Return the milliseconds of CPU that a reservation and its report cost, with a quota in this process."""
    from penstock_token_client import LocalQuota

    quota = LocalQuota(tpm=10**9, rpm=10**7)
    began = time.process_time()
    for _ in range(pairs):
        async with quota.reserve(700, max_tokens=MAX_TOKENS) as reserved:
            await reserved.report(prompt_tokens=300, completion_tokens=60, headers={})
    return (time.process_time() - began) * 1000 / pairs


async def main(name: str, url: str) -> None:
    """Measure on demand; the first answer warms up, and is the proof that all clients return the same."""
    ask, together = CLIENTS[name](url), CLIENTS[name](f"{url}/together")
    print(json.dumps({"answer": (await ask()).model_dump()}), flush=True)
    await cpu(ask, 2 * AT_ONCE)
    await lag(together)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        calls = int(order["calls"])
        match order["measure"]:
            case "cpu":
                value = await cpu(ask, calls)
            case "lag":
                value = await lag(together)
            case _:
                value = await reservation(10 * calls)
        print(json.dumps({"value": value}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
