"""Files that cannot be shipped as they are: put aside with the reason, for somebody to look; nothing else waits."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock_logging_monitor._names import is_log

if TYPE_CHECKING:
    from pathlib import Path

    from penstock_logging_monitor._claimed import ClaimedLog

FOLDER = "quarantine"

_REASON = ".reason.txt"


def put_aside(log: ClaimedLog, reason: str) -> Path:
    """Move a file whose lock we hold into the quarantine, with the reason beside it; return its place there.

    Raises:
        OSError: The directory does not let us.
    """
    place = log.move_to(log.path.parent / FOLDER)
    place.with_name(place.name + _REASON).write_text(
        f"{reason}\n\nThe file is as its writer left it. To have it tried again, move it back into the directory "
        "above; to give it up, delete it.\n"
    )
    return place


def count_quarantined(directory: Path) -> int:
    """Return how many files are in the quarantine of a directory of log files."""
    try:
        with os.scandir(directory / FOLDER) as entries:
            return sum(is_log(entry.name) for entry in entries)
    except OSError:
        return 0
