"""The command line: ``penstock-log-monitor`` ships a directory's log files, says what is there, and what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from penstock_logging_monitor._doctor import examine
from penstock_logging_monitor._errors import LogMonitorError
from penstock_logging_monitor._metrics import served
from penstock_logging_monitor._notices import printable
from penstock_logging_monitor._options import make_monitor, parser
from penstock_logging_monitor._quarantine import FOLDER
from penstock_logging_monitor._text_format import TextFormatter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from penstock_logging_monitor._monitor import LogMonitorService

_FOUND = 1
_REFUSED = 2
_VERSION = 1  # of the JSON


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    0: done; 1: ``doctor`` found something that needs a remedy, or ``run`` leaves files that cannot be shipped as they
    are; 2: it could not begin, and one sentence says why.
    """
    options = parser().parse_args(arguments)
    _log_to_stderr()
    command = {"run": _run, "status": _status, "doctor": _doctor}[options.command]
    try:
        return asyncio.run(command(options))
    except (LogMonitorError, ValueError, OSError) as error:
        sys.stderr.write(f"penstock-log-monitor: {error}\n")
        return _REFUSED


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


async def _run(options: argparse.Namespace) -> int:
    monitor = make_monitor(options)
    stop = _stop_signal()
    with served(monitor.statistics, options.metrics):
        await monitor.initialize()
        _say(f"monitoring {monitor.directory}, shipping to {monitor.target or 'no archive: closed files stay there'}")
        await stop.wait()
        staying = await monitor.shutdown(options.drain)
    _say(f"shipped {monitor.statistics().shipped} files; {len(staying)} stay in {monitor.directory}")
    for name in staying:
        _say(f"  {name}")
    return _say_what_is_refused(monitor)


def _say_what_is_refused(monitor: LogMonitorService) -> int:
    """Say what no later run will ship either, if there is any; return the exit status."""
    seen = monitor.statistics()
    if not seen.refused and not seen.quarantined:
        return 0
    _say(
        f"somebody must look at {seen.refused} of them, which the archive refuses for good, and at {seen.quarantined} "
        f"in {monitor.directory / FOLDER}"
    )
    return _FOUND


async def _status(options: argparse.Namespace) -> int:
    monitor = make_monitor(options)
    seen = await monitor.survey()
    age = round(seen.oldest_unshipped_age(time.time()), 3)
    facts = {"oldest_unshipped_age": age} | asdict(seen)
    del facts["oldest_waiting"]
    if options.json:
        archive = None if monitor.target is None else str(monitor.target)
        _say(json.dumps({"v": _VERSION, "directory": str(monitor.directory), "archive": archive} | facts))
        return 0
    for name, value in facts.items():
        _say(f"{name.replace('_', ' '):<24}{value:>12}")
    return 0


async def _doctor(options: argparse.Namespace) -> int:
    findings = await examine(make_monitor(options))
    if options.json:
        _say(json.dumps({"v": _VERSION, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            _say(f"{'FIX ' if finding.remedy else 'ok  '} {finding.check}: {finding.text}")
            if finding.remedy:
                _say(f"     {finding.remedy}")
    return _FOUND if any(finding.remedy for finding in findings) else 0


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
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
