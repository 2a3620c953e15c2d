"""The command line, as a frozen record of what was asked for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything a run can be told."""

    local: bool
    """Start local stand-ins for Azure and a token counter; without it, endpoints come from the environment."""
    input: Path | None
    """A .jsonl, .csv or .txt file of feedback; None: the messages shipped with the package."""
    column: str | None
    """The column (csv) or field (jsonl) that holds the text."""
    messages: int | None
    """How many messages to send, starting over at the end of the input; None: each once."""
    workers: int
    """Worker processes."""
    concurrency: int
    """Messages each worker handles at a time."""
    tpm: int
    """Tokens per minute of the local deployment, which the token counter shares out."""
    rpm: int
    """Requests per minute, likewise."""
    judge: str
    """How the local deployment judges quota: "hidden" or "exact"."""
    lock_duration: int
    """Seconds for which the local in-queue locks a received message: a killed worker's messages wait that long."""
    seed: int | None
    """Seed of everything random in the local stand-ins."""
    report: Path | None
    """Where to write the facts as JSON."""
    in_queue: str
    out_queue: str


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; argparse itself ends with status 2 and one sentence on a fault."""
    parser = argparse.ArgumentParser(
        prog="feedback-worker",
        description="Analyse customer feedback: Service Bus in, Azure OpenAI under a shared quota, Service Bus out.",
    )
    parser.add_argument("--local", action="store_true", help="run against local stand-ins, started for this run")
    parser.add_argument("--input", type=Path, metavar="FILE", help="feedback of your own: .jsonl, .csv or .txt")
    parser.add_argument("--column", metavar="NAME", help="the csv column or jsonl field with the text (default: text)")
    parser.add_argument("--messages", type=_positive, metavar="N", help="send N messages (default: the input, once)")
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="worker processes (default: 2)")
    parser.add_argument("--concurrency", type=_positive, default=16, metavar="N", help="messages at a time in each")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the facts of the run as JSON")
    parser.add_argument("--in-queue", default="feedback-in", metavar="NAME")
    parser.add_argument("--out-queue", default="feedback-out", metavar="NAME")
    local = parser.add_argument_group("with --local")
    local.add_argument("--tpm", type=_positive, default=1_000_000, metavar="N", help="tokens per minute (1000000)")
    local.add_argument("--rpm", type=_positive, default=6_000, metavar="N", help="requests per minute (6000)")
    local.add_argument("--judge", choices=("hidden", "exact"), default="hidden", help="how quota is judged (hidden)")
    local.add_argument(
        "--lock-duration", type=_positive, default=60, metavar="S", help="seconds a message is locked (60)"
    )
    local.add_argument("--seed", type=int, metavar="N", help="seed of everything random in the stand-ins")
    return Options(**vars(parser.parse_args(arguments)))


def _positive(text: str) -> int:
    """Parse a whole number of at least one."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return number
