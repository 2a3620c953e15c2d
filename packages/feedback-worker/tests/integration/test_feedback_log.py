"""What a worker process logs while it works on a message names that message, whichever package logs it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from feedback_worker._models import Analysis
from penstock_local_azure import LocalAzure, ServerError

ANSWER = Analysis(sentiment="positive", topics=["product"], urgency="low", summary="Good.", reply="Thanks.")


async def test_each_line_of_a_job_names_its_message(tmp_path: Path, counter_url: str) -> None:
    arguments = ["--in-queue", "in", "--out-queue", "out", "--concurrency", "1"]
    arguments += ["--logs", str(tmp_path / "logs"), "--acknowledged", str(tmp_path / "acknowledged")]
    async with LocalAzure(queues=["in", "out"], judge="exact", latency=0.0) as azure:
        azure.openai.reply("gpt-4o", [ServerError(500, 0.001), ANSWER])
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "feedback_worker._worker", *arguments),
            env={**os.environ, **azure.environment(), "TOKEN_COUNTER_URL": counter_url},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert worker.stdin is not None
        try:
            async with ServiceBusClient.from_connection_string(azure.service_bus.connection_string) as client:
                async with client.get_queue_sender("in") as sender:
                    await sender.send_messages(ServiceBusMessage('{"text": "Great kettle!"}', message_id="kettle"))
                async with client.get_queue_receiver("out") as receiver:
                    await receiver.receive_messages(1, max_wait_time=60)
        finally:
            worker.stdin.close()  # which is what ends it
            await worker.wait()

    logged = [json.loads(line) for path in (tmp_path / "logs").iterdir() for line in path.read_text().splitlines()[1:]]
    (retried,) = [line for line in logged if line["logger"].startswith("penstock_llm")]
    (told,) = [line for line in logged if line["logger"] == "penstock_servicebus"]
    assert (retried["message_id"], retried["trace_id"]) == ("kettle", told["trace_id"])
