"""The peer of the bench: the same job on the bare SDKs, written well, and without what Penstock adds.

One client, one receiver with prefetch, one sender; sixteen messages at a time; a lock around each SDK link, as the
Service Bus SDK's documentation asks of concurrent users; a strict JSON schema and one validation by pydantic; one log
line a message through the standard library. No shared quota, no lock renewal, no retry of its own.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from openai import AsyncOpenAI, pydantic_function_tool

from feedback_worker._models import SYSTEM_PROMPT, USER_PROMPT, Analysis, Feedback

CONCURRENCY = 16
SCHEMA: Any = pydantic_function_tool(Analysis)["function"]["parameters"]
LOGGER = logging.getLogger("bare")


class BareWorker:
    """Receives, asks, sends on, completes."""

    def __init__(self, receiver: ServiceBusReceiver, sender: ServiceBusSender, model: AsyncOpenAI) -> None:
        self._receiver = receiver
        self._sender = sender
        self._model = model
        self._receiving = asyncio.Lock()
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Take as many messages as there is room for, until cancelled."""
        running: set[asyncio.Task[None]] = set()
        while True:
            if len(running) == CONCURRENCY:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            async with self._receiving:
                messages = await self._receiver.receive_messages(CONCURRENCY - len(running), max_wait_time=0.02)
            for message in messages:
                task = asyncio.create_task(self._handle(message))
                running.add(task)
                task.add_done_callback(running.discard)

    async def _handle(self, message: ServiceBusReceivedMessage) -> None:
        """Answer one message."""
        feedback = Feedback.model_validate_json(b"".join(message.body))
        analysis = await self._ask(feedback)
        result = ServiceBusMessage(analysis.model_dump_json(), message_id=f"{message.message_id}/0")
        async with self._sending:
            await self._sender.send_messages(result)
        async with self._receiving:
            await self._receiver.complete_message(message)
        LOGGER.info("answered %s", message.message_id)

    async def _ask(self, feedback: Feedback) -> Analysis:
        """Ask the model for a typed answer."""
        completion = await self._model.chat.completions.create(
            model=os.environ["AZURE_OPENAI_DEPLOYMENT_NAME"],
            messages=[
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": USER_PROMPT.format(text=feedback.text)},
            ],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "Analysis", "schema": SCHEMA, "strict": True},
            },
            max_completion_tokens=400,
        )
        return Analysis.model_validate_json(completion.choices[0].message.content or "")


async def main(in_queue: str, out_queue: str) -> None:
    """Work until SIGTERM."""
    model = AsyncOpenAI(
        base_url=f"{os.environ['AZURE_OPENAI_ENDPOINT'].rstrip('/')}/openai/v1/",
        api_key=os.environ["AZURE_OPENAI_API_KEY"],
    )
    bus = ServiceBusClient.from_connection_string(os.environ["SERVICE_BUS_CONNECTION_STRING"])
    async with model, bus:
        receiver = bus.get_queue_receiver(in_queue, prefetch_count=CONCURRENCY, socket_timeout=0.02)
        sender = bus.get_queue_sender(out_queue, socket_timeout=0.02)
        async with receiver, sender:
            work = asyncio.create_task(BareWorker(receiver, sender, model).run())
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
            print(json.dumps({"v": 1, "ready": True}), flush=True)
            await asyncio.wait([work])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-queue", required=True)
    parser.add_argument("--out-queue", required=True)
    parser.add_argument("--log", required=True)
    options = parser.parse_args()
    logging.basicConfig(filename=options.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("azure", "httpx", "httpx2", "openai"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    asyncio.run(main(options.in_queue, options.out_queue))
