"""A process of its own that reads everything back after a run and prints the facts as one JSON object."""

import argparse
import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from feedback_worker._acknowledged import read_acknowledged
from feedback_worker._audit_logs import log_facts, read_shipped
from feedback_worker._audit_messages import latency_facts, message_facts, read_far_ends, sample_answer
from feedback_worker._clients import open_blobs
from penstock_servicebus import open_client


async def audit(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """Collect the facts of a run from its far ends."""
    sent = set(options.ids.read_text().split())
    stats = await _local_stats(options.stats_url) if options.stats_url else {}
    async with open_client(environment) as bus:
        found = await read_far_ends(bus, options.in_queue, options.out_queue)
    facts: dict[str, Any] = {
        "messages": message_facts(sent, found, _suppressed(stats)),
        "latency_ms": latency_facts(sent, found),
        "sample": sample_answer(sent, found),
    }
    if stats:
        facts["quota"] = quota_facts(stats)
    if options.container:
        facts["logs"] = await _logs(options, environment)
    return facts


async def _logs(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, int]:
    """Hold the shipped log lines against the acknowledged ones."""
    acknowledged = set(read_acknowledged(options.acknowledged))
    writers = {(process, start) for process, start, _ in acknowledged}
    async with open_blobs(environment) as blobs:
        return log_facts(acknowledged, await read_shipped(blobs, options.container, options.app, writers))


async def _local_stats(url: str) -> dict[str, Any]:
    """Fetch the accounts that the local stand-ins keep."""
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as response:
        return dict(await response.json())


def _suppressed(stats: Mapping[str, Any]) -> set[str]:
    """Ids of the messages that duplicate detection dropped on any queue."""
    queues = stats.get("service_bus", {}).get("queues", {})
    return {message_id for queue in queues.values() for message_id in queue["suppressed"]}


def quota_facts(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Read the quota's part of the report from the endpoint's own account."""
    (deployment,) = stats["openai"]["deployments"].values()
    names = ("tpm", "rpm", "judged_tokens", "billed_tokens", "peak_use", "http_429", "judge")
    return {name: deployment[name] for name in names}


def main() -> None:
    """Audit one run, as the job starts it."""
    parser = argparse.ArgumentParser(prog="python -m feedback_worker._audit")
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--acknowledged", type=Path, required=True)
    parser.add_argument("--app", required=True)
    parser.add_argument("--in-queue", required=True)
    parser.add_argument("--out-queue", required=True)
    parser.add_argument("--container")
    parser.add_argument("--stats-url")
    print(json.dumps(asyncio.run(audit(parser.parse_args(), os.environ))))  # noqa: T201 - the answer is its output


if __name__ == "__main__":
    main()
