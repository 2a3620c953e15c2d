"""An account of log lines that the logger under test does not keep: what was written, by the word of the caller."""

import logging
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_logging_monitor import LogFileHandler


class _Stamp(logging.Filter):
    """Numbers each record that a handler is about to write."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def filter(self, record: logging.LogRecord) -> bool:
        record.sequence = next(self._numbers)
        return True


class _Acknowledge(logging.Handler):
    """Notes the number of each record once the handler before it has returned."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        number = getattr(record, "sequence", None)
        if number is not None:
            os.write(self._fd, b"%d\n" % number)

    def close(self) -> None:
        super().close()
        os.close(self._fd)


def acknowledge_lines(handler: "LogFileHandler", directory: Path) -> None:
    """Stamp what `handler` writes with a sequence number, and note the number in `directory` once it is written.

    The note outlives the process, also a killed one: it is what the shipped lines are compared with.
    """
    header = handler.header
    handler.addFilter(_Stamp())
    directory.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(_Acknowledge(directory / f"{header.process}@{header.start_ns}"))


def read_acknowledged(directory: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (process, start, sequence) of every line that was acknowledged."""
    for path in sorted(directory.glob("*@*")):
        process, _, start = path.name.rpartition("@")
        for line in path.read_text().split():
            yield process, int(start), int(line)
