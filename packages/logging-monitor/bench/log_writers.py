"""The loggers of `log_records.py`, each in a process and an environment of its own.

Arguments: the logger's name, and a directory. One line on standard input asks for a measurement, one line answers.
All write the same record with its moment, level, logger and one field beside the message, and are set up as their
documentation has it:

- FileHandler (logging HOWTO, "Configuring Logging"), with text, or JSON by python-json-logger's `OrjsonFormatter`
  (its "Quick Start").
- QueueHandler (logging cookbook, "Dealing with handlers that block"): a `QueueListener` with that same JSON handler.
- structlog ("Performance", its example), with the message's arguments as fields: `BytesLogger`, orjson, cached loggers.
- loguru (README): `logger.add(path)`, and `serialize=True` for JSON.
- RotatingFileHandler (logging handlers), for the time a rotation takes: files as small as ours.
"""

# ruff: noqa: PLC0415  each library is there in its logger's own environment only

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[[int], object]
"""Writes the record of this number."""
Finish = Callable[[], object]
"""Returns when all of them are in the file."""

TEXT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"
BATCH = 500
SMALL = 256 * 1024
"""Bytes of a file, where rotations are measured."""


def standard(handler: logging.Handler, finish: Finish | None = None) -> tuple[Log, Finish]:
    """Log through the standard library."""
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel("INFO")
    info = logging.getLogger("shop.till").info

    def log(number: int) -> None:
        info("sold %d of %s", number, "bread", extra={"order": "o-17"})

    return log, finish or handler.flush


def ours(folder: Path, **options: Any) -> tuple[Log, Finish]:  # noqa: ANN401  # those of configure_logging
    """Log with this package, as shipped but for the options."""
    from penstock_logging_monitor import configure_logging

    handler = configure_logging(logs_dir=folder, app="bench", process="ours", console=False, **options)
    return standard(handler)


def without_orjson(folder: Path) -> tuple[Log, Finish]:
    """Log JSON with what comes without extras."""
    sys.modules["orjson"] = None  # type: ignore[assignment]  # how an import is made to fail
    return ours(folder)


def minimal(folder: Path) -> tuple[Log, Finish]:
    """Log JSON without redaction and without context."""
    from penstock_logging_monitor import JsonFormatter, LogFileHandler

    handler = LogFileHandler(folder, app="bench", process="minimal", redact=None)
    handler.setFormatter(JsonFormatter())
    return standard(handler)


def text_handler(folder: Path) -> logging.Handler:
    """Return the standard library's handler for text."""
    handler = logging.FileHandler(folder / "peer.log")
    handler.setFormatter(logging.Formatter(TEXT))
    return handler


def json_handler(folder: Path) -> logging.Handler:
    """Return the standard library's handler for JSON."""
    from pythonjsonlogger.orjson import OrjsonFormatter  # type: ignore[import-not-found]  # lives in an environment of its own

    handler = logging.FileHandler(folder / "peer.log")
    handler.setFormatter(OrjsonFormatter(FIELDS))
    return handler


def queue(folder: Path) -> tuple[Log, Finish]:
    """Log JSON in a thread."""
    import logging.handlers
    from queue import Queue

    waiting: Queue[logging.LogRecord] = Queue(-1)
    listener = logging.handlers.QueueListener(waiting, json_handler(folder))
    listener.start()
    return standard(logging.handlers.QueueHandler(waiting), waiting.join)


def structlog_json(folder: Path) -> tuple[Log, Finish]:
    """Log JSON with structlog."""
    import orjson
    import structlog  # type: ignore[import-not-found]  # lives in an environment of its own

    file = (folder / "peer.log").open("wb")
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=file),
    )
    info = structlog.get_logger(logger_name="shop.till").info
    return lambda number: info("sold", number=number, what="bread", order="o-17"), file.flush


def loguru(folder: Path, *, serialize: bool) -> tuple[Log, Finish]:
    """Log with loguru."""
    from loguru import logger  # type: ignore[import-not-found]  # lives in an environment of its own

    logger.remove()
    logger.add(folder / "peer.log", serialize=serialize)
    info = logger.bind(order="o-17").info
    return lambda number: info("sold {} of {}", number, "bread"), logger.complete


WRITERS: dict[str, Callable[[Path], tuple[Log, Finish]]] = {
    "ours, JSON": ours,
    "ours, JSON without orjson": without_orjson,
    "ours, JSON, minimal": minimal,
    "ours, text": lambda folder: ours(folder, format="text"),
    "FileHandler, JSON": lambda folder: standard(json_handler(folder)),
    "FileHandler, text": lambda folder: standard(text_handler(folder)),
    "QueueHandler, JSON": queue,
    "structlog, JSON": structlog_json,
    "loguru, JSON": lambda folder: loguru(folder, serialize=True),
    "loguru, text": lambda folder: loguru(folder, serialize=False),
}


def rate(log: Log, finish: Finish, seconds: float) -> float:
    """Return how many records a second of processor time brings into the file."""
    written, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        for number in range(BATCH):
            log(number)
        written += BATCH
    finish()
    return written / (time.process_time() - started)


def until_killed(log: Log, acknowledged: Path) -> None:
    """Log as quickly as can be, and note after each call how many have returned."""
    fd = os.open(acknowledged, os.O_CREAT | os.O_WRONLY, 0o600)
    number = 0
    while True:
        log(number)
        number += 1
        os.pwrite(fd, b"%012d" % number, 0)


def rotations(folder: Path, name: str, count: int) -> list[float]:
    """Return how many milliseconds each call took that began a new file."""
    if name.startswith("ours"):
        from penstock_logging_monitor import configure_logging

        handler = configure_logging(logs_dir=folder, app="bench", process="ours", console=False, max_bytes=SMALL)
        log, _ = standard(handler)
        return calls_that_change(log, lambda: handler.statistics().files, count)
    import logging.handlers

    peer = logging.handlers.RotatingFileHandler(folder / "peer.log", maxBytes=SMALL, backupCount=5)
    peer.setFormatter(json_handler(folder).formatter)
    log, _ = standard(peer)
    return calls_that_change(log, lambda: Path(peer.baseFilename).stat().st_ino, count)


def calls_that_change(log: Log, state: Callable[[], int], count: int) -> list[float]:
    """Return how many milliseconds each of the calls took that changed the state."""
    found: list[float] = []
    number, known = 0, state()
    while len(found) < count:
        started = time.perf_counter()
        log(number)
        took = time.perf_counter() - started
        number += 1
        if (now := state()) != known:
            known = now
            found.append(took * 1000)
    return found


def main() -> None:
    """Measure on demand."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name.endswith("rotation"):
        print(json.dumps({"values": rotations(folder, name, int(sys.argv[3]))}))
        return
    log, finish = WRITERS[name](folder)
    if len(sys.argv) > 3:  # noqa: PLR2004  # the file of acknowledgements
        until_killed(log, Path(sys.argv[3]))
    rate(log, finish, 0.2)
    print(json.dumps({"value": 0}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"value": rate(log, finish, float(line))}), flush=True)


if __name__ == "__main__":
    main()
