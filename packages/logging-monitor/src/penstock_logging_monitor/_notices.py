"""What somebody should hear of, said once: a trouble that lasts must not fill a log about logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_log = logging.getLogger(__name__)


class Notices:
    """Warnings by subject: the second about one subject is swallowed, until the subject is gone or well again."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, subject: str, text: str) -> None:
        """Warn, unless that was done already."""
        if subject not in self._told:
            self._told.add(subject)
            _log.warning("%s", printable(text))

    def say(self, text: str) -> None:
        """Warn of what happens once."""
        _log.warning("%s", printable(text))

    def ended(self, subject: str, text: str) -> None:
        """Say that a trouble is over, if it was told."""
        if subject in self._told:
            self._told.discard(subject)
            _log.warning("%s", printable(text))

    def forget_files_but(self, names: Collection[str]) -> None:
        """Drop what was told of log files that are gone."""
        self._told = {subject for subject in self._told if subject.startswith("*") or subject in names}


def printable(text: str) -> str:
    """Return a text in one line that any stream takes: names of files may hold anything."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
