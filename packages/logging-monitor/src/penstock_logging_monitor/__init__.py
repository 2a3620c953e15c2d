"""Per-process log files, and the monitor that ships them to Blob Storage."""

from penstock_logging_monitor._configure import configure_logging, get_app_name, get_logger, log_to_stdout
from penstock_logging_monitor._console import ConsoleHandler
from penstock_logging_monitor._context import ContextFilter, log_context
from penstock_logging_monitor._errors import LogMonitorError, NameTakenError
from penstock_logging_monitor._handler import LogFileHandler, WriterStatistics
from penstock_logging_monitor._header import Header
from penstock_logging_monitor._json_format import JsonFormatter
from penstock_logging_monitor._monitor import LogMonitorService
from penstock_logging_monitor._redaction import redact_secrets
from penstock_logging_monitor._statistics import MonitorStatistics, Sight
from penstock_logging_monitor._target import Arrival, Target
from penstock_logging_monitor._text_format import TextFormatter

__all__ = [
    "Arrival",
    "ConsoleHandler",
    "ContextFilter",
    "Header",
    "JsonFormatter",
    "LogFileHandler",
    "LogMonitorError",
    "LogMonitorService",
    "MonitorStatistics",
    "NameTakenError",
    "Sight",
    "Target",
    "TextFormatter",
    "WriterStatistics",
    "configure_logging",
    "get_app_name",
    "get_logger",
    "log_context",
    "log_to_stdout",
    "redact_secrets",
]
