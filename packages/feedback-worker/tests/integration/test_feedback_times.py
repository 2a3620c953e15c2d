"""The worker's one line about a message says where its time went."""

import asyncio
import logging

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from feedback_worker._feedback_worker import FeedbackWorker
from penstock_local_azure import LocalAzure


async def test_quota_wait_and_model_time_are_in_the_line_about_a_message(
    monkeypatch: pytest.MonkeyPatch, counter_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="penstock_servicebus")
    async with LocalAzure(queues=["in", "out"], judge="exact", latency=0.2) as azure:
        for name, value in {**azure.environment(), "TOKEN_COUNTER_URL": counter_url}.items():
            monkeypatch.setenv(name, value)
        worker = FeedbackWorker("in", "out", concurrency=1)
        running = asyncio.create_task(worker.run())
        async with ServiceBusClient.from_connection_string(azure.service_bus.connection_string) as client:
            async with client.get_queue_sender("in") as sender:
                await sender.send_messages(ServiceBusMessage('{"text": "Great kettle!"}', message_id="kettle"))
            async with client.get_queue_receiver("out") as receiver:
                await receiver.receive_messages(1, max_wait_time=30)
        await worker.stop()
        await running

    (line,) = [record for record in caplog.records if record.name == "penstock_servicebus"]
    told = vars(line)
    assert (told["message_id"], told["outcome"]) == ("kettle", "completed")
    assert 0 < told["model_time_s"] <= told["handling_s"]
    assert 0 <= told["quota_wait_s"] < told["handling_s"]
    assert "model time" in line.getMessage()
