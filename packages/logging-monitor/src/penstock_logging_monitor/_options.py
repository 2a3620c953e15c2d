"""The options of the command line."""

from __future__ import annotations

import argparse

from penstock_logging_monitor._monitor import LogMonitorService

_STATUS = (
    "Exit status: 0, done; 1, doctor found something, or run leaves files that cannot be shipped as they are; 2, it "
    "could not begin."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of ``penstock-log-monitor``."""
    top = argparse.ArgumentParser(
        prog="penstock-log-monitor", description="Ships closed log files to an archive.", epilog=_STATUS
    )
    commands = top.add_subparsers(dest="command", required=True)
    common = _common()
    _add_run(commands.add_parser("run", parents=[common], help="ship until SIGTERM or Ctrl-C, then drain"))
    for name, text in (("status", "say what is in the directory now"), ("doctor", "look for what could go wrong")):
        command = commands.add_parser(name, parents=[common], help=text)
        command.add_argument("--json", action="store_true", help="as JSON, with a version")
    return top


def make_monitor(given: argparse.Namespace) -> LogMonitorService:
    """Return the monitor that the options describe; it is not started.

    Raises:
        ValueError: Two options contradict each other, or one is malformed.
        LogMonitorError: Blob Storage is meant, but the extra ``[azure]`` is not installed.
    """
    names = ("scan_interval", "keep_shipped", "retention_days", "max_disk")
    return LogMonitorService(
        given.logs_dir,
        account_url=given.account,
        container_name=given.container,
        target=given.target,
        app_name=given.app,
        **{name: getattr(given, name) for name in names if hasattr(given, name)},
    )


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--logs-dir", help="directory of the log files (LOGS_DIR, else logs)")
    common.add_argument("--account", help="name or URL of the storage account (AZURE_STORAGE_ACCOUNT)")
    common.add_argument("--container", help="container in it (LOGS_CONTAINER, else fla-logs)")
    common.add_argument("--target", help="a directory as archive, instead of a storage account")
    common.add_argument("--app", help="application whose files without a header are shipped (APP_NAME_FOR_LOGGER)")
    return common


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--drain", type=float, default=28.0, help="seconds to wait for living writers (default: 28)")
    run.add_argument("--scan-interval", type=float, default=1.0, help="seconds between looks (default: 1)")
    run.add_argument("--keep-shipped", action="store_true", help="keep shipped files, in shipped/ below the directory")
    run.add_argument(
        "--retention-days", type=float, help="days to keep shipped or local-only files (default: for ever)"
    )
    run.add_argument("--max-disk", type=int, metavar="BYTES", help="drop the oldest files beyond this (default: never)")
    run.add_argument("--metrics", type=int, metavar="PORT", help="serve Prometheus metrics on 127.0.0.1")
