"""Which archive a monitor ships to: arguments first, then the environment, else none."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_logging_monitor._blob_target import BlobTarget
from penstock_logging_monitor._directory_target import DirectoryTarget
from penstock_logging_monitor._environment import from_environment
from penstock_logging_monitor._older import OlderRules
from penstock_logging_monitor._processes import is_alive

if TYPE_CHECKING:
    from penstock_logging_monitor._blob_target import Credential
    from penstock_logging_monitor._target import Target

DEFAULT_CONTAINER = "fla-logs"
_UNITS = {"scan_interval": "seconds", "retention_days": "days", "max_disk": "bytes"}
_ACCOUNT_VARIABLES = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING")


def choose_logs_dir(argument: str | os.PathLike[str] | None) -> Path:
    """Return the directory of the log files: the argument, ``LOGS_DIR``, or ``logs``."""
    return Path(argument or from_environment(None, "LOGS_DIR") or "logs").absolute()


def choose_older_rules(app_name: str | None, process_name: str | None) -> OlderRules:
    """Return the rules for files of the older naming: of which application, and whose are the monitor's own."""
    return OlderRules(
        app=from_environment(app_name, "APP_NAME_FOR_LOGGER") or "unknown_app",
        process=from_environment(process_name, "PROCESS_NAME") or f"worker-{os.getpid()}",
        host=socket.gethostname(),
        is_alive=is_alive,
    )


def choose_target(
    *,
    target: str | os.PathLike[str] | Target | None,
    account_name: str | None,
    account_url: str | None,
    container_name: str | None,
    connection_string: str | None,
    credential: Credential | None,
) -> Target | None:
    """Return the archive, or None when neither an argument nor the environment names one.

    Raises:
        ValueError: Two arguments say where to ship to, or what they say is malformed.
        LogMonitorError: Blob Storage is meant, but the extra is not installed.
    """
    named = {
        "target": target,
        "account_name": account_name,
        "account_url": account_url,
        "connection_string": connection_string,
    }
    given = [name for name, value in named.items() if value]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} each say where to ship to: give one of them")
    if target:
        return DirectoryTarget(target) if isinstance(target, (str, os.PathLike)) else target
    if not given and not any(from_environment(None, variable) for variable in _ACCOUNT_VARIABLES):
        return None
    return BlobTarget(
        account_url or account_name,
        from_environment(container_name, "LOGS_CONTAINER") or DEFAULT_CONTAINER,
        connection_string=connection_string,
        credential=credential,
    )


def require_positive(**options: float | None) -> None:
    """Refuse an option that is given and not above 0.

    Raises:
        ValueError: Names the option and its unit.
    """
    for name, value in options.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be more than 0 {_UNITS[name]}, not {value}")
