"""Records that could not be written: counted by reason, and told once."""

from __future__ import annotations

import errno
import sys
from collections import Counter


class Losses:
    """The account of lost records, and of the episode of trouble that may be going on.

    Attributes:
        by_reason: How many were lost, by reason.
        in_trouble: Whether an episode is going on.
        untold: How many were lost in it.
    """

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self.in_trouble = False
        self.untold = 0

    def add(self, error: OSError) -> None:
        """Count one record that was not written because of ``error``."""
        self.by_reason[_reason(error)] += 1
        self.untold += 1
        self.warn(error)

    def warn(self, error: OSError) -> None:
        """Say, once in an episode, that the log files cannot be written as they should."""
        if not self.in_trouble:
            self.in_trouble = True
            say(f"cannot write log files: {error}; lost records are counted")

    def end_episode(self) -> None:
        """Close the episode: records can be written again, and the log says how many could not."""
        self.in_trouble = False
        self.untold = 0


def say(text: str) -> None:
    """Write to standard error, where there is one; a log record would come back to the handler that has the trouble."""
    if sys.stderr is not None:
        sys.stderr.write(f"penstock_logging_monitor: {text}\n")


def _reason(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
