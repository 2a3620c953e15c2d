"""The whole worker without a key or a connection string: by identity, over TLS, with tokens that end."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from penstock_local_azure import Deployment, LocalAzure, Queue

Start = Callable[..., Any]

MESSAGES = 32
DEPLOYMENT = Deployment("chat-prod", model="gpt-4o")
LIFETIME = 4.0
"""Seconds: what a token lives. The messages take longer, eight at a time with a second each."""
PROCESSES = {"openai": 2, "service_bus": 4}
"""How many processes ask each service: the workers, and of Service Bus the command and its audit, too."""


@pytest.mark.parametrize("transport", ["amqp", "websockets"])
async def test_tokens_that_expire_or_are_refused_cost_time_and_nothing_else(
    run_job: Start, counter_url: str, transport: str
) -> None:
    queues = [Queue(name, duplicate_detection=600.0) for name in ("feedback-in", "feedback-out")]
    async with LocalAzure(
        queues, [DEPLOYMENT], judge="exact", latency=1.0, seed=1, tls=True, token_lifetime=LIFETIME
    ) as azure:
        environment = {**azure.environment(), "SERVICE_BUS_TRANSPORT": transport, "TOKEN_COUNTER_URL": counter_url}
        assert environment["AZURE_OPENAI_MODEL"] == "gpt-4o"
        assert not {name for name in environment if name.endswith(("KEY", "CONNECTION_STRING"))}
        run = run_job("--messages", str(MESSAGES), "--concurrency", "4", environment=environment)
        await run.in_the_middle(8)
        started = time.monotonic()
        azure.identity.refuse_next("openai")
        azure.identity.refuse_next("service_bus")
        azure.identity.refuse_next("blob")

        facts = await run.facts()

        assert time.monotonic() - started > LIFETIME, "the run was over before a token could expire"
        stats = azure.stats()
        assert (azure.service_bus._websockets.requests_count > 0) is (transport == "websockets")  # type: ignore[union-attr]
    messages = facts["messages"]
    assert messages["answered"] == messages["in"] == MESSAGES
    assert (messages["dead_lettered"], messages["lost"], messages["duplicates"], messages["remaining"]) == (0, 0, 0, 0)
    assert (facts["logs"]["missing"], facts["logs"]["doubled"]) == (0, 0)
    assert stats["service_bus"]["queues"]["feedback-in"]["completed"] == MESSAGES
    assert stats["service_bus"]["queues"]["feedback-out"]["active"] == MESSAGES
    identity = stats["identity"]
    assert [identity[service]["refused"]["told to"] for service in ("openai", "service_bus", "blob")] == [1, 1, 1]
    for service, processes in PROCESSES.items():
        assert identity[service]["tokens"] > processes, f"no token was renewed for {service}"
