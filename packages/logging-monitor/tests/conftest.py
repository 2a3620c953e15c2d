"""A directory of logs with writers in it, and the eyes to read what they wrote."""

from __future__ import annotations

import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from penstock_logging_monitor import JsonFormatter, LogFileHandler, LogMonitorService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from hypothesis import HealthCheck, settings

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


class Logs:
    """A directory of log files, and a clock that the test moves for all who write there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 1_772_366_400.0  # 2026-03-01T12:00:00Z
        self._writers: list[LogFileHandler] = []

    def writer(
        self, process: str = "w", *, app: str = "shop", max_bytes: int = 1_000_000, **options: Any
    ) -> LogFileHandler:
        """Start a writer, which the end of the test closes."""
        handler = LogFileHandler(
            self.directory,
            app=app,
            process=process,
            max_bytes=max_bytes,
            clock_ns=lambda: int(self.now * 1_000_000_000),
            monotonic=lambda: self.now,
            **options,
        )
        handler.setFormatter(JsonFormatter())
        self._writers.append(handler)
        return handler

    def dead_writer(self, *messages: str, process: str = "w", torn: bytes = b"") -> Path:
        """Leave the current file of a process that was killed after these messages; return its path."""
        handler = self.writer(process)
        self.say(handler, *messages)
        current = handler.path
        assert current is not None
        content = current.read_bytes()
        handler.close()
        for closed in self.names(f"shop-{process}__*"):
            (self.directory / closed).unlink()
        current.write_bytes(content + torn)
        self.now += 1  # the next writer starts later
        return current

    def say(self, handler: logging.Handler, *messages: str, **extra: Any) -> None:
        """Log records straight to a handler."""
        for message in messages:
            facts = {"name": "test", "levelname": "INFO", "levelno": logging.INFO, "msg": message, **extra}
            handler.handle(logging.makeLogRecord(facts))

    def names(self, pattern: str = "*") -> list[str]:
        """Return the names of the files that are there."""
        return sorted(path.name for path in self.directory.glob(pattern))

    def lines(self, path: Path) -> list[dict[str, Any]]:
        """Return every line of a log file, or of its archived copy, as JSON."""
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        return [json.loads(line) for line in content.splitlines()]

    def messages(self, pattern: str = "*.log", *, below: Path | None = None) -> list[str]:
        """Return the messages in all matching files, without their headers."""
        paths = sorted((below or self.directory).rglob(pattern))
        return [line["message"] for path in paths for line in self.lines(path)[1:]]

    def monitor(self, target: Any, **options: Any) -> LogMonitorService:
        """Return a monitor that looks here again and again, with hardly a rest."""
        return LogMonitorService(self.directory, target=target, scan_interval=0.01, **options)

    async def drain(self, target: Any, *, seconds: float = 10.0, **options: Any) -> LogMonitorService:
        """Let a monitor do all that there is to do."""
        service = self.monitor(target, **options)
        await service.initialize()
        await service.shutdown(drain=seconds)
        return service

    def end(self) -> None:
        for handler in self._writers:
            handler.close()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    logs = Logs(tmp_path / "logs")
    yield logs
    logs.end()


@pytest.fixture
def fresh_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger of a process that has set up nothing, and whose environment says nothing."""
    for variable in ("LOGS_DIR", "APP_NAME_FOR_LOGGER", "PROCESS_NAME"):
        monkeypatch.delenv(variable, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
