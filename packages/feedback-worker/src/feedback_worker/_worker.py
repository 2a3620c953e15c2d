"""A worker as a process of a fleet: its log, its lifeline, and the line that says it is ready."""

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from feedback_worker._acknowledged import acknowledge_lines
from feedback_worker._errors import EXIT_USAGE
from feedback_worker._feedback_worker import FeedbackWorker
from feedback_worker._lifeline import on_end_of_input
from feedback_worker._models import APP
from penstock_logging_monitor import configure_logging
from penstock_servicebus import message_id, trace_id


async def _run_in_fleet(options: argparse.Namespace) -> int:
    """Run one worker of a fleet: say when it is ready, and end when the fleet does."""
    try:
        worker = FeedbackWorker(options.in_queue, options.out_queue, concurrency=options.concurrency)
    except ValueError as error:
        print(json.dumps({"v": 1, "error": f"{str(error).rstrip('.')}."}), flush=True)  # noqa: T201 - for the fleet
        return EXIT_USAGE
    print(json.dumps({"v": 1, "ready": True}), flush=True)  # noqa: T201 - the same
    on_end_of_input(worker.stop)
    await worker.run()
    return 0


def main() -> int:
    """Run one worker process, as the fleet starts it."""
    parser = argparse.ArgumentParser(prog="python -m feedback_worker._worker")
    parser.add_argument("--in-queue", required=True)
    parser.add_argument("--out-queue", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--acknowledged", type=Path, required=True)
    options = parser.parse_args()
    ids = (message_id, trace_id)  # so that each line of a job names its message
    handler = configure_logging(logs_dir=options.logs, app=APP, console=False, context=ids)
    acknowledge_lines(handler, options.acknowledged)
    for chatty in ("azure", "httpx2"):  # the SDKs log every request; the handler's one line a message says it all
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return asyncio.run(_run_in_fleet(options))


if __name__ == "__main__":
    sys.exit(main())
