"""The command ``penstock-token-counter``: one word says what to do, and none means to serve."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from ._usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {"serve": "_serve", "status": "_status", "key": "_key"}
"""The module of each command, imported on use; its ``run`` takes the arguments and returns the exit status."""

_USAGE = 2
"""The exit status for what the user can put right."""


def main() -> None:
    """Run the command."""
    arguments = sys.argv[1:]
    command = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "serve"
    try:
        status = _run(command, arguments)
    except UsageError as error:
        sys.stderr.write(f"penstock-token-counter: {error}\n")
        status = _USAGE
    sys.exit(status)


def _run(command: str, arguments: Sequence[str]) -> int:
    """Run one command."""
    if command not in _COMMANDS:
        raise UsageError(f"there is no command {command!r}, only {', '.join(_COMMANDS)}; see --help")
    status: int = importlib.import_module(f".{_COMMANDS[command]}", __package__).run(arguments)
    return status


if __name__ == "__main__":
    main()
