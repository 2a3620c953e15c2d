"""One run of the main job: start everything, feed it, watch it to its end, stop it in order, audit it."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.servicebus.exceptions import ServiceBusError
from rich.console import Console

from feedback_worker._child import Child
from feedback_worker._endpoints import Endpoints, check_counter, endpoints_of_user, start_local_endpoints
from feedback_worker._errors import EXIT_INTERRUPTED, EXIT_RUN, UsageError
from feedback_worker._feeder import Account, feed, messages_of
from feedback_worker._fleet import Fleet
from feedback_worker._inputs import read_inputs
from feedback_worker._interrupt import Interrupt
from feedback_worker._models import APP
from feedback_worker._options import Options
from feedback_worker._progress import show_progress
from feedback_worker._report import print_report, write_report
from feedback_worker._watch import open_watch
from penstock_servicebus import open_client

WORKER_READY = 60.0
WORKER_DRAIN = 30.0
"""Seconds: the worker's own drain of 25 s, and time to close what it holds."""
SERVICES_END = 10.0


async def run_job(options: Options, started: float, console: Console) -> int:
    """Run the main job once and return the exit status: 0 only if every message reached an end.

    Args:
        options: What was asked for.
        started: The monotonic time at which the command started, in seconds.
        console: Where a person looks.

    Raises:
        UsageError: The run cannot start as it was asked for.
        RunError: The run cannot go on.
    """
    inputs = read_inputs(options.input, options.column)
    messages = list(messages_of(_new_run(), inputs.texts, options.messages))
    with tempfile.TemporaryDirectory(prefix="feedback-worker-") as folder:
        async with _endpoints(options, Path(folder)) as (endpoints, services):
            run = _Run(options, endpoints, Path(folder), Interrupt(), console)
            await _work_off(run, messages, services)
            facts = await _audit(run)
    facts |= {"blank_inputs": inputs.blank, "seconds": round(time.monotonic() - started, 2)}
    print_report(facts, facts.pop("sample"), console)
    if options.report is not None:
        write_report(facts, options.report)
    return _exit_status(facts["messages"])


@dataclass(frozen=True)
class _Run:
    """What every step of a run works with."""

    options: Options
    endpoints: Endpoints
    folder: Path
    interrupt: Interrupt
    console: Console

    @property
    def ids(self) -> Path:
        """The ids of the messages, written down before they are sent."""
        return self.folder / "ids"

    @property
    def acknowledged(self) -> Path:
        """The log lines that the workers were told are written."""
        return self.folder / "acknowledged"

    @property
    def logs(self) -> Path:
        """The log files of the workers."""
        return self.folder / "logs"


@asynccontextmanager
async def _endpoints(options: Options, folder: Path) -> AsyncIterator[tuple[Endpoints, Fleet]]:
    """Find the endpoints, or start local ones, whose journal is in the run's folder, and end them afterwards."""
    services = Fleet()
    try:
        if options.local:
            yield await start_local_endpoints(options, services, folder / "quota"), services
        else:
            endpoints = endpoints_of_user()
            await check_counter(endpoints)
            yield endpoints, services
    finally:
        await services.stop(SERVICES_END)


async def _work_off(run: _Run, messages: list[tuple[str, str]], services: Fleet) -> None:
    """Start the workers and the log monitor, send the messages, wait for their ends, and stop both in that order."""
    workers = Fleet()

    def check() -> None:
        services.check()
        workers.check()

    async with run.endpoints.log_monitor(run.logs):
        try:
            await _start_workers(run, workers)
            await _feed_and_watch(run, messages, check)
        finally:
            await workers.stop(WORKER_DRAIN)


async def _start_workers(run: _Run, workers: Fleet) -> None:
    """Start the worker processes side by side, and wait until each has checked its settings."""
    options = run.options
    arguments = ["--in-queue", options.in_queue, "--out-queue", options.out_queue]
    arguments += ["--concurrency", str(options.concurrency)]
    arguments += ["--logs", str(run.logs), "--acknowledged", str(run.acknowledged)]

    def start_worker() -> Awaitable[Child]:
        return Child.start("A worker", "feedback_worker._worker", arguments, run.endpoints.environment)

    started = [await workers.keep(start_worker) for _ in range(options.workers)]
    await asyncio.gather(*(child.ready(WORKER_READY) for child in started))


async def _feed_and_watch(run: _Run, messages: list[tuple[str, str]], check: Callable[[], None]) -> None:
    """Send the messages and show how they reach their ends, until all have or the person has had enough."""
    in_queue, out_queue = run.options.in_queue, run.options.out_queue
    try:
        async with open_client(run.endpoints.environment) as client:
            with Account(run.ids) as account:
                sent = await feed(client, in_queue, messages, account, lambda: run.interrupt.asked)
            async with open_watch(client, in_queue, out_queue, sent) as watch:
                with show_progress(run.console, len(sent)) as progress:
                    await watch.until_done(progress, check, run.interrupt)
    except ServiceBusError as error:
        check()  # a dead stand-in is the better explanation
        raise UsageError(
            f"Service Bus refuses queue {in_queue!r} or {out_queue!r} ({type(error).__name__}); "
            "check that both exist and that you may send to and listen on them."
        ) from error


async def _audit(run: _Run) -> dict[str, Any]:
    """Have a process of its own read everything back."""
    arguments = ["--ids", str(run.ids), "--acknowledged", str(run.acknowledged), "--app", APP]
    arguments += ["--in-queue", run.options.in_queue, "--out-queue", run.options.out_queue]
    if run.endpoints.logs_container is not None:
        arguments += ["--container", run.endpoints.logs_container]
    if run.endpoints.stats_url is not None:
        arguments += ["--stats-url", run.endpoints.stats_url]
    child = await Child.start("The audit", "feedback_worker._audit", arguments, run.endpoints.environment)
    return await child.answer()


def _new_run() -> str:
    """Name a run, so that its messages are told from those of others on the same queues."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _exit_status(messages: dict[str, Any]) -> int:
    """Choose the exit status by what became of the messages."""
    if messages["lost"]:
        return EXIT_RUN
    return EXIT_INTERRUPTED if messages["remaining"] else 0
