"""The command `penstock-servicebus`: look at queues, and send dead letters back to work."""

import asyncio
import io
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any

from penstock_servicebus._command_line import PeekOptions, ResubmitOptions, read_command
from penstock_servicebus._connection import Connection, connect
from penstock_servicebus._errors import ServiceBusHandlerError
from penstock_servicebus._peek import peek
from penstock_servicebus._resubmit import resubmit
from penstock_servicebus._signals import stop_on_signal
from penstock_servicebus._terminal import remark

_INVALID, _INTERRUPTED, _UNREAD = 2, 130, 141
"""Exit statuses; the last two are what a shell says of SIGINT and SIGPIPE."""


def main() -> None:
    """Run the command and exit with its status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an id may hold what the terminal cannot show
    logging.getLogger("azure").addHandler(logging.NullHandler())  # what fails is said once, by us
    options = read_command()
    try:
        status = asyncio.run(_run(options))
    except ServiceBusHandlerError as error:
        remark(str(error))
        status = _INVALID
    except (asyncio.CancelledError, KeyboardInterrupt):
        remark("interrupted")
        status = _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        status = _UNREAD
    sys.exit(status)


async def _run(options: PeekOptions | ResubmitOptions) -> int:
    """Connect, run one command until it is done or interrupted, and return its exit status."""
    connection = connect(options.namespace, None, None, None, None, {})
    connection.open()
    try:
        command = asyncio.ensure_future(_command(options, connection))
        with stop_on_signal(command.cancel):
            return await command
    finally:
        await connection.close()


def _command(options: PeekOptions | ResubmitOptions, connection: Connection) -> Coroutine[Any, Any, int]:
    """The command that was asked for."""
    return peek(options, connection) if isinstance(options, PeekOptions) else resubmit(options, connection)


if __name__ == "__main__":
    main()
