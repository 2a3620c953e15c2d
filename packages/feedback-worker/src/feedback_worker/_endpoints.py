"""The environment a run finds its endpoints in: the user's own, or that of local stand-ins started for it."""

import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from feedback_worker._child import Child, inherited_environment
from feedback_worker._errors import UsageError
from feedback_worker._fleet import Fleet
from feedback_worker._options import Options
from penstock_logging_monitor import LogMonitorService

ENDPOINT_VARIABLES = (
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_API_VERSION",
    "AZURE_OPENAI_DEPLOYMENT_NAME",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_MODEL",
    "AZURE_OPENAI_SCOPE",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_CONTAINER",
    "LOGS_CONTAINER",
    "LOGS_DIR",
    "PROCESS_NAME",
    "SERVICE_BUS_CONNECTION_STRING",
    "SERVICE_BUS_NAMESPACE",
    "SERVICE_BUS_TRANSPORT",
    "TOKEN_COUNTER_KEY",
    "TOKEN_COUNTER_URL",
)
REQUIRED = (
    ("SERVICE_BUS_NAMESPACE", "SERVICE_BUS_CONNECTION_STRING"),
    ("AZURE_OPENAI_ENDPOINT",),
    ("AZURE_OPENAI_DEPLOYMENT_NAME",),
)
START_WITHIN = 30.0
COUNTER_ANSWERS_WITHIN = 10.0
DEDUPLICATION = 600
"""Seconds; Azure's own default for a queue with duplicate detection."""


@dataclass(frozen=True)
class Endpoints:
    """Where a run finds its services: an environment for its processes, and the accounts of local stand-ins."""

    environment: Mapping[str, str]
    stats_url: str | None = None

    @property
    def counter_url(self) -> str:
        """The address of the token counter."""
        return (self._get("TOKEN_COUNTER_URL") or "http://localhost:8001").rstrip("/")

    @property
    def logs_container(self) -> str | None:
        """The container for logs; None without a storage account, when logs stay where they are."""
        if not (self._get("AZURE_STORAGE_CONNECTION_STRING") or self._get("AZURE_STORAGE_ACCOUNT")):
            return None
        return self._get("LOGS_CONTAINER") or "fla-logs"

    def log_monitor(self, logs: Path) -> LogMonitorService:
        """Make the monitor that ships the log files of a folder to where these endpoints say."""
        account = self._get("AZURE_STORAGE_ACCOUNT")
        is_url = account is not None and "://" in account
        return LogMonitorService(
            logs,
            account_name=None if is_url else account,
            account_url=account if is_url else None,
            container_name=self.logs_container,
            connection_string=self._get("AZURE_STORAGE_CONNECTION_STRING"),
        )

    def _get(self, name: str) -> str | None:
        """Return a variable; blank is the same as unset."""
        return self.environment.get(name, "").strip() or None


def endpoints_of_user() -> Endpoints:
    """Take the endpoints from our own environment.

    Raises:
        UsageError: A variable without which nothing can start is missing; the text names all that are.
    """
    missing = [" or ".join(names) for names in REQUIRED if not any(os.environ.get(name, "").strip() for name in names)]
    if missing:
        raise UsageError(f"Set {', '.join(missing)}, or add --local to run against local stand-ins.")
    return Endpoints(dict(os.environ))


async def check_counter(endpoints: Endpoints) -> None:
    """Refuse to start without a token counter that answers.

    Raises:
        UsageError: None does; the text says where it was looked for.
    """
    url = endpoints.counter_url
    timeout = aiohttp.ClientTimeout(total=COUNTER_ANSWERS_WITHIN)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/healthz"):
            return
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"No token counter answers at {url}; start penstock-token-counter there, "
            "or set TOKEN_COUNTER_URL to where one runs."
        ) from error


async def start_local_endpoints(options: Options, services: Fleet, journal: Path) -> Endpoints:
    """Start local-azure and a token counter as processes of their own, and return where they are.

    Args:
        options: What was asked for.
        services: Takes over the processes.
        journal: The directory in which the counter keeps its grants.
    """
    bare = inherited_environment(without=ENDPOINT_VARIABLES)
    azure = await Child.start("penstock-local-azure", "penstock_local_azure", _azure_arguments(options), bare)
    services.own(azure)
    told = await azure.ready(START_WITHIN)
    url = await _start_counter(options, services, journal, bare)
    environment = told["environment"]
    assert isinstance(environment, dict)  # noqa: S101 - the line's format, version 1
    return Endpoints({**bare, **environment, "TOKEN_COUNTER_URL": url}, str(told["stats_url"]))


def _azure_arguments(options: Options) -> list[str]:
    """Arguments of the local stand-ins for this run."""
    arguments = ["--json", "--quiet", "--stop-with-stdin", "--tpm", str(options.tpm), "--rpm", str(options.rpm)]
    arguments += ["--judge", options.judge, "--deployment", "gpt-4o"]
    for queue in (options.in_queue, options.out_queue):
        arguments += ["--queue", f"{queue}:dedupe={DEDUPLICATION},lock={options.lock_duration}"]
    return arguments + (["--seed", str(options.seed)] if options.seed is not None else [])


async def _start_counter(options: Options, services: Fleet, journal: Path, environment: Mapping[str, str]) -> str:
    """Start the token counter, keep it alive at its address, and return that.

    It may assume an idle window, because the run begins with one; what a counter that was killed had granted, the next
    one finds in the journal.
    """
    arguments = ["--tpm", str(options.tpm), "--rpm", str(options.rpm), "--json", "--stop-with-stdin"]
    arguments += ["--assume-idle", "--journal", str(journal)]
    port = "0"

    def start_counter() -> Awaitable[Child]:
        command = [*arguments, "--port", port]
        return Child.start("penstock-token-counter", "penstock_token_counter", command, environment)

    first = await services.keep(start_counter)
    url = str((await first.ready(START_WITHIN))["url"])
    port = str(urlsplit(url).port)
    return url
