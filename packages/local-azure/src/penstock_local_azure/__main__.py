"""The command `penstock-local-azure`: starts the stand-ins, tells where they are, runs until told to stop."""

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from threading import Thread

from ._command_line import PROGRAM, Command, read_command
from ._errors import LocalAzureError
from ._local_azure import LocalAzure

_INVALID = 2
"""Exit status for what its user must put right."""


def main() -> None:
    """Run the command and exit with its status."""
    command = read_command()
    try:
        asyncio.run(_run(command))
    except LocalAzureError as error:
        _tell(str(error))
        sys.exit(_INVALID)


async def _run(command: Command) -> None:
    """Serve until told to stop, then tell how the judge judged."""
    stop = _stop_event(with_stdin=command.stop_with_stdin)
    async with command.azure as azure:
        sys.stdout.write(_as_json(azure) if command.json else _as_exports(azure))
        sys.stdout.flush()
        if not command.quiet:
            _tell("these are local stand-ins, not Azure; Ctrl-C ends them.")
        await stop.wait()
    if not command.quiet:
        for name, account in command.azure.openai.stats().items():
            _tell(f"the judge of {name} was {account['judge']} (seed {command.azure.openai.seed}).")


def _as_json(azure: LocalAzure) -> str:
    """Return the line a program reads."""
    ready = {"v": 1, "environment": azure.environment(), "stats_url": azure.stats_url}
    return f"{json.dumps(ready)}\n"


def _as_exports(azure: LocalAzure) -> str:
    """Return the lines a shell reads."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in azure.environment().items()]
    return "\n".join((*exports, f"# The stand-ins' own accounts: {azure.stats_url}", ""))


def _stop_event(*, with_stdin: bool) -> asyncio.Event:
    """Return an event that a signal sets, or the end of standard input if asked for."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def stop_soon(*_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_soon)
    if with_stdin:
        Thread(target=_wait_for_end_of_stdin, args=(stop_soon,), daemon=True).start()
    return stop


def _wait_for_end_of_stdin(then: Callable[[], None]) -> None:
    """Read standard input to its end; past Python's buffer, whose lock a thread must not hold when Python ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    then()


def _tell(sentence: str) -> None:
    """Say something to the person at the terminal."""
    sys.stderr.write(f"{PROGRAM}: {sentence}\n")


if __name__ == "__main__":
    main()
