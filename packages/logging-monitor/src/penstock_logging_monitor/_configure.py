"""Logging for a process, set up once."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Literal

from penstock_logging_monitor._environment import from_environment
from penstock_logging_monitor._handler import MAX_BYTES, LogFileHandler
from penstock_logging_monitor._json_format import JsonFormatter
from penstock_logging_monitor._text_format import TextFormatter

if TYPE_CHECKING:
    import os

_FORMATTERS = {"json": JsonFormatter, "text": TextFormatter}
_once = threading.Lock()


def configure_logging(
    *,
    logs_dir: str | os.PathLike[str] | None = None,
    app: str | None = None,
    process: str | None = None,
    level: int | str = "INFO",
    format: Literal["json", "text"] = "json",  # noqa: A002  # the name that logging's users look for
    console: bool = True,
    max_bytes: int = MAX_BYTES,
) -> LogFileHandler:
    """Write everything that this process logs to a file of its own.

    Puts one file handler on the root logger, so that records of every library arrive too, and returns it. A second call
    changes nothing and returns the same handler, until that one is taken off the root logger again.

    Args:
        logs_dir: Directory of the log files. None: ``LOGS_DIR``, else ``logs``.
        app: Name of the application. None: ``APP_NAME_FOR_LOGGER``, else ``unknown_app``.
        process: Name of the process. None: ``PROCESS_NAME``, else ``worker-{pid}``.
        level: The root logger's level.
        format: Of the file: flat JSON, one object a line, or text.
        console: Also write text to standard error, unless a handler on the root logger does so already.
        max_bytes: About how many bytes a file may grow to; it also ends with its UTC day.

    Raises:
        ValueError: The level, the format or ``max_bytes`` is none.
    """
    _check(format, level)
    root = logging.getLogger()
    with _once:
        present = _file_handler(root)
        if present:
            return present
        handler = LogFileHandler(
            logs_dir or from_environment(None, "LOGS_DIR") or "logs",
            app=from_environment(app, "APP_NAME_FOR_LOGGER") or "unknown_app",
            process=from_environment(process, "PROCESS_NAME"),
            max_bytes=max_bytes,
        )
        handler.setFormatter(_FORMATTERS[format]())
        root.setLevel(level)
        root.addHandler(handler)
        if console and not _has_console(root):
            root.addHandler(_console())
        return handler


def get_logger(name: str, log_level: int | str | None = None) -> logging.Logger:
    """Return the standard logger of this name; sets logging up with its defaults if nobody has.

    Args:
        name: As in `logging.getLogger`: the same name gives the same logger.
        log_level: The logger's own level. None: left as it is.

    Raises:
        ValueError: The level is none; nothing is set up then.
    """
    logger = logging.getLogger(name)
    if log_level is not None:
        logger.setLevel(log_level)
    configure_logging()
    return logger


def get_app_name() -> str:
    """Return the name that this process's log files carry: the configured one, else the environment's."""
    handler = _file_handler(logging.getLogger())
    return handler.header.app if handler else from_environment(None, "APP_NAME_FOR_LOGGER") or "unknown_app"


def close_own_file() -> None:
    """Close this process's current file, if logging is set up here, so that it can be shipped."""
    handler = _file_handler(logging.getLogger())
    if handler:
        handler.close_file()


def _check(chosen_format: str, level: int | str) -> None:
    if chosen_format not in _FORMATTERS:
        raise ValueError(f"format must be 'json' or 'text', not {chosen_format!r}")
    if isinstance(level, str) and level not in logging.getLevelNamesMapping():
        raise ValueError(f"level must be a number or the name of a level, such as 'INFO', not {level!r}")


def _file_handler(root: logging.Logger) -> LogFileHandler | None:
    return next((handler for handler in root.handlers if isinstance(handler, LogFileHandler)), None)


def _has_console(root: logging.Logger) -> bool:
    streams = [handler.stream for handler in root.handlers if isinstance(handler, logging.StreamHandler)]
    return any(stream is sys.stderr or stream is sys.stdout for stream in streams)


def _console() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    return handler
