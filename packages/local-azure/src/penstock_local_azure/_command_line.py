"""What `penstock-local-azure` can be told."""

import argparse
from dataclasses import KW_ONLY, dataclass
from typing import Final, NoReturn

from ._entity_options import (
    QUEUE_OPTIONS,
    SUBSCRIPTION_OPTIONS,
    TOPIC_OPTIONS,
    read_queues,
    read_topics,
    syntax,
)
from ._local_azure import LocalAzure
from ._openai import Deployment

PROGRAM: Final = "penstock-local-azure"
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Command:
    """One run: what to start, and how to speak about it."""

    azure: LocalAzure
    _: KW_ONLY
    json: bool
    quiet: bool
    stop_with_stdin: bool


def read_command(arguments: list[str] | None = None) -> Command:
    """Read the command line, and build what it asks for without starting it.

    Raises:
        SystemExit: with status 2 and one sentence on standard error, if something is wrong with it.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        azure = _local_azure(options)
    except ValueError as error:
        parser.error(str(error))
    return Command(azure, json=options.json, quiet=options.quiet, stop_with_stdin=options.stop_with_stdin)


def _local_azure(options: argparse.Namespace) -> LocalAzure:
    """Build the stand-ins."""
    return LocalAzure(
        [*read_queues(options.queue), *read_topics(options.topic, options.subscription)],
        [Deployment(name, tpm=options.tpm, rpm=options.rpm) for name in options.deployment or ["gpt-4o"]],
        containers=options.container,
        judge=options.judge,
        seed=options.seed,
        latency=options.latency,
        tls=options.tls,
        token_lifetime=options.token_lifetime,
        accept_keys=options.accept_keys,
        blob_directory=options.blob_dir,
        host=options.host,
        service_bus_port=options.service_bus_port,
        openai_port=options.openai_port,
        blob_port=options.blob_port,
        control_port=options.control_port,
        identity_port=options.identity_port,
    )


class _Parser(argparse.ArgumentParser):
    """A parser that complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with status 2."""
        self.exit(2, f"{PROGRAM}: {message.rstrip('.')}; --help tells what can be given.\n")


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = _Parser(
        prog=PROGRAM,
        description="Local stand-ins for Azure Service Bus, Azure OpenAI and Blob Storage, for development and tests. "
        "Prints the environment that leads to them and runs until Ctrl-C or SIGTERM.",
    )
    told = parser.add_argument
    for name, place, options, help_ in (
        ("--queue", "NAME", QUEUE_OPTIONS, "a queue; may be repeated"),
        ("--topic", "NAME", TOPIC_OPTIONS, "a topic; may be repeated, and left out if a subscription names it"),
        ("--subscription", "TOPIC/NAME", SUBSCRIPTION_OPTIONS, "a subscription to a topic; may be repeated"),
    ):
        metavar = syntax(place, options, "S").replace(":", "[:") + "]"
        told(name, action="append", default=[], metavar=metavar, help=help_)
    told("--container", action="append", default=[], metavar="NAME", help="a blob container; may be repeated")
    told("--blob-dir", metavar="DIR", help="where to keep blobs, also for next time (default: in memory)")
    told(
        "--deployment",
        action="append",
        metavar="NAME",
        help="a model deployment, for embeddings if named after such a model; may be repeated (default gpt-4o)",
    )
    told("--tpm", type=int, default=600_000, help="tokens per minute of each deployment (default %(default)s)")
    told("--rpm", type=int, default=3_600, help="requests per minute of each deployment (default %(default)s)")
    told("--judge", choices=("hidden", "exact"), default="hidden", help="how 429s are decided (default %(default)s)")
    told("--seed", type=int, help="what the draw, latencies and answers derive from (default: drawn)")
    told("--latency", type=float, default=0.5, help="median seconds of a model's answer (default %(default)s)")
    told("--tls", action="store_true", help="serve over TLS, and take tokens of a local managed identity, no keys")
    told("--token-lifetime", type=float, default=3600.0, metavar="S", help="seconds of a token (default %(default)s)")
    told("--accept-keys", action="store_true", help="with --tls, take keys, too")
    told("--host", default="127.0.0.1", help="the address to listen on (default %(default)s)")
    for service in ("service-bus", "openai", "blob", "control", "identity"):
        told(f"--{service}-port", type=_port, default=0, metavar="N", help="a port; 0, the default, takes a free one")
    told("--quiet", action="store_true", help="say nothing on standard error unless something is wrong")
    told("--json", action="store_true", help="print one JSON line when ready, instead of export lines")
    told("--stop-with-stdin", action="store_true", help="end, too, when standard input reaches its end")
    return parser


def _port(text: str) -> int:
    """Read a port."""
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 to {_LAST_PORT}, not {text!r}")
    return port
