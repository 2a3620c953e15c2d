"""The command `penstock-upload`: brings files to a container, shows how far it is, and says what is left."""

import asyncio
import io
import logging
import os
import signal
import sys

from penstock_blob_uploader._command_line import PROGRAM, Command, in_options, read_command
from penstock_blob_uploader._display import Display, display_for, remark
from penstock_blob_uploader._errors import JournalError
from penstock_blob_uploader._found_files import find_files
from penstock_blob_uploader._upload_run import SETUP_BROKEN, UploadRun
from penstock_blob_uploader._uploader import AsyncBlobStorageUploader

_INVALID, _UNREAD, _BY_SIGNAL = 2, 141, 128
"""Exit statuses: a wrong call; what a shell says of SIGPIPE; and of other signals, with their numbers added."""


def main() -> None:
    """Run the command and exit with its status."""
    command = read_command()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what the terminal cannot show
    _log_to_stderr(verbose=command.verbose)
    try:
        status = asyncio.run(_run(command))
    except (ValueError, JournalError) as error:
        _say(str(error))
        status = SETUP_BROKEN if isinstance(error, JournalError) else _INVALID
    except KeyboardInterrupt:
        status = _BY_SIGNAL + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        status = _UNREAD
    sys.exit(status)


async def _run(command: Command) -> int:
    """Bring everything, and return the exit status."""
    stopped = _stop_future()
    display = display_for(sys.stdout, as_json=command.json)
    uploader = _uploader(command, display)
    found, unusable = await asyncio.to_thread(
        find_files, command.paths, prefix=command.prefix, template=command.template
    )
    async with uploader:
        summary = await UploadRun(uploader, display).bring(found, unusable, stopped)
    if summary.remedy is not None:
        _say(summary.remedy)
    return summary.status


def _uploader(command: Command, display: Display) -> AsyncBlobStorageUploader:
    """Make the uploader that was asked for."""
    return AsyncBlobStorageUploader(
        command.account,
        command.container,
        command.retries,
        create_container=command.create_container,
        max_concurrency=command.concurrency,
        delete_after_upload=command.delete,
        overwrite=command.overwrite,
        gzip=command.gzip,
        journal=command.journal,
        progress=display.advance,
    )


def _stop_future() -> "asyncio.Future[int]":
    """Return a future that the first signal sets to the exit status; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        if not stopped.done():
            stopped.set_result(_BY_SIGNAL + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: loop.call_soon_threadsafe(stop, number))
    return stopped


def _log_to_stderr(*, verbose: bool) -> None:
    """Let the uploader say what the display does not; over a line that is redrawn."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""
    logging.basicConfig(level=logging.ERROR, format=f"{over}{PROGRAM}: %(message)s")
    logging.getLogger("azure").addHandler(logging.NullHandler())  # what fails is said once, by us
    if verbose:
        logging.getLogger(__package__).setLevel(logging.INFO)


def _say(sentence: str) -> None:
    """Say what is wrong, in terms of the command line."""
    remark(PROGRAM, in_options(sentence))


if __name__ == "__main__":
    main()
