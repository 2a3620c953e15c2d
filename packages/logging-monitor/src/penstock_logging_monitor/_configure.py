"""Logging for a process, set up once."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

from penstock_logging_monitor._console import ConsoleHandler, is_on_console, json_console, text_console
from penstock_logging_monitor._context import ContextFilter
from penstock_logging_monitor._environment import from_environment
from penstock_logging_monitor._handler import MAX_BYTES, LogFileHandler
from penstock_logging_monitor._json_format import JsonFormatter
from penstock_logging_monitor._redaction import redact_secrets
from penstock_logging_monitor._text_format import TextFormatter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from contextvars import ContextVar

_FORMATTERS = {"json": JsonFormatter, "text": TextFormatter}
_once = threading.RLock()


def configure_logging(
    *,
    logs_dir: str | os.PathLike[str] | None = None,
    app: str | None = None,
    process: str | None = None,
    level: int | str = "INFO",
    format: Literal["json", "text"] = "json",  # noqa: A002  # the name that logging's users look for
    console: bool = True,
    max_bytes: int = MAX_BYTES,
    context: Sequence[ContextVar[Any]] = (),
    redact: Callable[[str], str] | None = redact_secrets,
) -> LogFileHandler:
    """Write everything that this process logs to a file of its own.

    Puts one file handler on the root logger, so that records of every library arrive too, and returns it; also on each
    logger that has a handler and passes nothing on to the root logger, as a web server's do. A second call changes
    nothing but that, for loggers that were set up since, and returns the same handler, until that one is taken off the
    root logger again.

    Args:
        logs_dir: Directory of the log files. None: ``LOGS_DIR``, else ``logs``.
        app: Name of the application. None: ``APP_NAME_FOR_LOGGER``, else ``unknown_app``.
        process: Name of the process. None: ``PROCESS_NAME``, else ``worker-{pid}``.
        level: The root logger's level.
        format: Of the file: flat JSON, one object a line, or text.
        console: Also write text to standard error, unless a handler on the root logger does so already. It is coloured
            on a terminal, unless ``NO_COLOR`` is set.
        max_bytes: About how many bytes a file may grow to; it also ends with its UTC day.
        context: Context variables whose values every record carries, beside those of `log_context` and the ids of
            OpenTelemetry's current span.
        redact: Cuts secrets out of each line. None: lines are written as they are.

    Raises:
        ValueError: The level, the format or ``max_bytes`` is none, or a context variable has the name of an attribute
            that every log record has.
    """
    _check(format, level)
    root = logging.getLogger()
    with _once:
        handler = _file_handler(root)
        if handler is None:
            adding = ContextFilter(*context)
            handler = LogFileHandler(
                logs_dir or from_environment(None, "LOGS_DIR") or "logs",
                app=from_environment(app, "APP_NAME_FOR_LOGGER") or "unknown_app",
                process=from_environment(process, "PROCESS_NAME"),
                max_bytes=max_bytes,
                redact=redact,
                context=adding,
            )
            handler.setFormatter(_FORMATTERS[format]())
            _add(root, handler, level)
            if console and sys.stderr is not None and not any(map(is_on_console, root.handlers)):
                _add(root, text_console(redact, adding), level)
        for logger in _loggers_apart():
            if _file_handler(logger) is None:
                logger.addHandler(handler)
        return handler


def log_to_stdout(
    *,
    level: int | str = "INFO",
    context: Sequence[ContextVar[Any]] = (),
    redact: Callable[[str], str] | None = redact_secrets,
) -> ConsoleHandler:
    """Write everything that this process logs to standard output as flat JSON, for a platform that collects it.

    Puts a handler on the root logger, once, and returns it. There is no file then, unless `configure_logging` is called
    too. A record leaves the process as quickly as what reads the standard output lets it.

    Args:
        level: As in `configure_logging`.
        context: As in `configure_logging`.
        redact: As in `configure_logging`.

    Raises:
        ValueError: The level is none, or a context variable has the name of an attribute of every log record.
    """
    _check("json", level)
    root = logging.getLogger()
    with _once:
        handler = _stdout_handler(root)
        if handler is None:
            handler = json_console(redact, ContextFilter(*context))
            _add(root, handler, level)
        return handler


def get_logger(name: str, log_level: int | str | None = None) -> logging.Logger:
    """Return the standard logger of this name; calls `configure_logging` if nobody has set logging up.

    Args:
        name: As in `logging.getLogger`: the same name gives the same logger.
        log_level: The logger's own level. None: left as it is.

    Raises:
        ValueError: The level is none; nothing is set up then.
    """
    logger = logging.getLogger(name)
    if log_level is not None:
        logger.setLevel(log_level)
    with _once:
        if _stdout_handler(logging.getLogger()) is None:
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


def _add(logger: logging.Logger, handler: logging.Handler, level: int | str) -> None:
    logger.addHandler(handler)
    logger.setLevel(level)


def _file_handler(logger: logging.Logger) -> LogFileHandler | None:
    return next((handler for handler in logger.handlers if isinstance(handler, LogFileHandler)), None)


def _stdout_handler(root: logging.Logger) -> ConsoleHandler | None:
    ours = (handler for handler in root.handlers if isinstance(handler, ConsoleHandler))
    return next((handler for handler in ours if isinstance(handler.formatter, JsonFormatter)), None)


def _loggers_apart() -> Iterator[logging.Logger]:
    """Find loggers whose records never come to the root logger, and are written elsewhere: not those put to silence."""
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and not logger.propagate and any(map(_writes, logger.handlers)):
            yield logger


def _writes(handler: logging.Handler) -> bool:
    return not isinstance(handler, logging.NullHandler)
