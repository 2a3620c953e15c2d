"""What the tests of this package share."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from openai import AsyncAzureOpenAI, AsyncOpenAI

from penstock_local_azure import Deployment, OpenAI

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
async def server() -> AsyncIterator[OpenAI]:
    """Azure OpenAI with the exact judge and no latency."""
    deployments = [
        Deployment("gpt-4o"),
        Deployment("tiny", tpm=100, rpm=6_000),
        Deployment("o4-mini", reasoning=True),
        Deployment("text-embedding-3-small"),
        Deployment("text-embedding-3-large"),
        Deployment("text-embedding-ada-002"),
        Deployment("everything", serves="both"),
    ]
    async with OpenAI(deployments, judge="exact", seed=2, latency=0.0) as running:
        yield running


def on_v1(server: OpenAI) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.endpoint}/openai/v1/", api_key=server.api_key, max_retries=0)


def on_classic(server: OpenAI) -> AsyncOpenAI:
    return AsyncAzureOpenAI(
        azure_endpoint=server.endpoint, api_key=server.api_key, api_version="2024-10-21", max_retries=0
    )


@pytest.fixture
async def v1(server: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on the v1 route; it tries nothing again."""
    async with on_v1(server) as client:
        yield client


@pytest.fixture(params=[on_v1, on_classic], ids=["v1", "classic"])
async def client(request: pytest.FixtureRequest, server: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    """The SDK on either route."""
    async with request.param(server) as client:
        yield client
