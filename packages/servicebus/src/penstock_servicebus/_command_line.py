"""The command line: what may be said, and what it means."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_servicebus._entity import Entity
from penstock_servicebus._terminal import PROGRAM

_EPILOG = """\
Connects with Entra ID to SERVICE_BUS_NAMESPACE, or --namespace,
or to SERVICE_BUS_CONNECTION_STRING.

exit status:
  0    done
  1    something could not be moved
  2    wrong usage, or Service Bus cannot be reached
  130  interrupted
  141  the reader of the output went away
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekOptions:
    """What to look at, and how to show it."""

    namespace: str | None
    entity: Entity
    dead_letters: bool
    start: int
    limit: int
    body: bool
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResubmitOptions:
    """Which dead letters to move, where to, and how to report it.

    Attributes:
        ids: Ids of messages or of their origins; empty: whatever their id.
        reason: Dead-letter reason; None: whatever their reason.
        limit: How many at most; None: all.
        to: Queue to move them to.
    """

    namespace: str | None
    entity: Entity
    ids: frozenset[str]
    reason: str | None
    limit: int | None
    to: str
    dry_run: bool
    json: bool


def read_command(arguments: Sequence[str] | None = None) -> PeekOptions | ResubmitOptions:
    """Read the command line; what cannot be understood ends the program with status 2."""
    parser = _parser()
    said = parser.parse_args(arguments)
    entity = Entity(said.entity, said.subscription)
    if said.command == "peek":
        return PeekOptions(
            namespace=said.namespace,
            entity=entity,
            dead_letters=said.dead_letters,
            start=said.start,
            limit=said.max,
            body=said.body,
            json=said.json,
        )
    if said.subscription is not None and said.to is None:
        parser.error("with --subscription say --to QUEUE: a topic would hand the copies to all its subscriptions")
    return ResubmitOptions(
        namespace=said.namespace,
        entity=entity,
        ids=frozenset(said.id or ()),
        reason=said.reason,
        limit=said.max,
        to=said.to or said.entity,
        dry_run=said.dry_run,
        json=said.json,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Look at messages, and send dead letters back to work.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="peek | resubmit")
    _add_peek(commands)
    _add_resubmit(commands)
    return parser


def _add_peek(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    peek = _command(commands, "peek", "show messages without receiving them")
    peek.add_argument("--dead-letters", action="store_true", help="look at the dead letters")
    peek.add_argument("--max", type=_count, default=50, metavar="N", help="how many at most (default: %(default)s)")
    peek.add_argument("--from", dest="start", type=_count, default=1, metavar="SEQ", help="first sequence number")
    peek.add_argument("--body", action="store_true", help="show the bodies too")


def _add_resubmit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    resubmit = _command(commands, "resubmit", "send dead letters back to work")
    which = resubmit.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", nargs="+", action="extend", metavar="ID", help="those with this id or origin")
    which.add_argument("--reason", help="those with this dead-letter reason")
    which.add_argument("--all", action="store_true", help="all that are there now")
    resubmit.add_argument("--max", type=_count, metavar="N", help="how many at most")
    resubmit.add_argument("--to", metavar="QUEUE", help="move them to another queue")
    resubmit.add_argument("--dry-run", action="store_true", help="only tell what would be moved")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, purpose: str
) -> argparse.ArgumentParser:
    """A command with what all have in common."""
    command = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose.capitalize()}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("entity", metavar="QUEUE", help="a queue, or with --subscription a topic")
    command.add_argument("--subscription", metavar="NAME", help="the topic's subscription")
    command.add_argument("--namespace", metavar="HOST", help="host name of the namespace")
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    return command


def _count(text: str) -> int:
    """A whole number from 1 up."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return value
