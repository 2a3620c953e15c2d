"""Per-process log files, and the monitor that ships them to Blob Storage."""

from penstock_logging_monitor._configure import configure_logging, get_app_name, get_logger
from penstock_logging_monitor._handler import LogFileHandler, WriterStatistics
from penstock_logging_monitor._header import Header
from penstock_logging_monitor._json_format import JsonFormatter
from penstock_logging_monitor._text_format import TextFormatter

__all__ = [
    "Header",
    "JsonFormatter",
    "LogFileHandler",
    "TextFormatter",
    "WriterStatistics",
    "configure_logging",
    "get_app_name",
    "get_logger",
]
