"""The account of log lines that the logger does not keep itself."""

import logging
import os
from pathlib import Path

from feedback_worker._acknowledged import acknowledge_lines, read_acknowledged
from penstock_logging_monitor import configure_logging


def test_what_is_acknowledged_is_what_the_handler_has_written(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        acknowledge_lines(configure_logging(logs_dir=tmp_path / "logs", app="a", console=False), tmp_path / "noted")
        for number in range(3):
            logging.getLogger("any").info("line %d", number)
        os._exit(0)
    os.waitpid(pid, 0)

    (log,) = (tmp_path / "logs").iterdir()
    acknowledged = list(read_acknowledged(tmp_path / "noted"))

    assert [sequence for _, _, sequence in acknowledged] == [1, 2, 3]
    assert len({(process, start) for process, start, _ in acknowledged}) == 1
    assert len(log.read_text().splitlines()) == 1 + 3
