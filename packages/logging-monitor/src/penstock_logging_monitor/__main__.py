"""The command line: ``penstock-log-monitor run`` ships a directory's log files until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from typing import TYPE_CHECKING

from penstock_logging_monitor._errors import LogMonitorError
from penstock_logging_monitor._monitor import LogMonitorService
from penstock_logging_monitor._text_format import TextFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 2 after one sentence on what is wrong."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    try:
        return asyncio.run(_run(options))
    except (LogMonitorError, ValueError, OSError) as error:
        sys.stderr.write(f"penstock-log-monitor: {error}\n")
        return _REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock-log-monitor", description="Ships closed log files to an archive.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="ship until SIGTERM or Ctrl-C, then drain")
    run.add_argument("--logs-dir", help="directory of the log files (LOGS_DIR, else logs)")
    run.add_argument("--account", help="name or URL of the storage account (AZURE_STORAGE_ACCOUNT)")
    run.add_argument("--container", help="container in it (LOGS_CONTAINER, else fla-logs)")
    run.add_argument("--target", help="a directory as archive, instead of a storage account")
    run.add_argument("--drain", type=float, default=28.0, help="seconds to wait for living writers (default: 28)")
    run.add_argument("--scan-interval", type=float, default=1.0, help="seconds between looks (default: 1)")
    return parser


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


async def _run(options: argparse.Namespace) -> int:
    monitor = LogMonitorService(
        options.logs_dir,
        account_url=options.account,
        container_name=options.container,
        target=options.target,
        scan_interval=options.scan_interval,
    )
    stop = _stop_signal()
    await monitor.initialize()
    _say(f"monitoring {monitor.directory}, shipping to {monitor.target or 'no archive: closed files stay there'}")
    await stop.wait()
    staying = await monitor.shutdown(options.drain)
    _say(f"shipped {monitor.statistics().shipped} files; {len(staying)} stay in {monitor.directory}")
    for name in staying:
        _say(f"  {name}")
    return 0


def _stop_signal() -> asyncio.Event:
    """Return an event that the first SIGTERM or Ctrl-C sets; a second one ends the process as usual."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, note, number)
    return stop


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
