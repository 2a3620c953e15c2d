"""pytest's door to the stand-ins: the fixture `local_azure`.

The fixture is an async one: pytest-asyncio runs it in its auto mode, anyio's plugin in tests marked for anyio. Only
using it imports the servers.
"""

from typing import TYPE_CHECKING

import pytest

import penstock_local_azure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from penstock_local_azure import LocalAzure


@pytest.fixture
async def local_azure() -> "AsyncIterator[LocalAzure]":
    """Stand-ins of its own for each test, with the exact judge and no latency.

    Queues "in" and "out", deployments "gpt-4o" and "text-embedding-3-small".
    """
    deployments = [penstock_local_azure.Deployment(name) for name in ("gpt-4o", "text-embedding-3-small")]
    stand_ins = penstock_local_azure.LocalAzure(["in", "out"], deployments, judge="exact", seed=0, latency=0.0)
    async with stand_ins as azure:
        yield azure
