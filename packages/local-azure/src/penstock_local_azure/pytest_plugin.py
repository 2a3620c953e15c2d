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
    """Stand-ins of its own for each test: queues "in" and "out", deployment "gpt-4o", the exact judge, no latency."""
    stand_ins = penstock_local_azure.LocalAzure(queues=["in", "out"], judge="exact", seed=0, latency=0.0)
    async with stand_ins as azure:
        yield azure
