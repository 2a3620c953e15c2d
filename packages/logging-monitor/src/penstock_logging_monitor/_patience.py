"""How long to leave a file, or the archive, alone after a failure; and when a file is poison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

ARCHIVE = "*archive"  # no log file has this name

_FIRST = 1.0  # seconds
_LONGEST = 60.0  # seconds
_POISON = 3  # refusals for good


@dataclass(slots=True)
class _Failures:
    count: int = 0
    refusals: int = 0
    refused: bool = False
    not_before: float = 0.0
    arrivals: int = 0


class Patience:
    """Remembers failures by name: the wait doubles from one to sixty seconds, or is what the archive asked for.

    Args:
        monotonic: Seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: dict[str, _Failures] = {}
        self._arrivals = 0
        self._ending = False

    def allows(self, name: str) -> bool:
        """Say whether a file, or the archive, may be tried now."""
        if self._ending and self.is_refused(name):
            return False
        return name not in self._failures or self._monotonic() >= self._failures[name].not_before

    def is_refused(self, name: str) -> bool:
        """Say whether the archive has refused a file for good often enough for poison, whatever became of others."""
        return name in self._failures and self._failures[name].refused

    def failed(self, name: str, retry_after: float | None, *, for_good: bool = False) -> bool:
        """Note a failure; say whether the file is poison.

        Poison is what the archive refuses for good, again and again, while it takes other files: if it takes none, it
        is the archive that somebody must look after.
        """
        failures = self._failures.setdefault(name, _Failures(arrivals=self._arrivals))
        failures.refusals += for_good
        failures.refused = for_good and failures.refusals >= _POISON
        now = self._monotonic()
        if now >= failures.not_before:  # several fail at once, and are one failure of the archive
            failures.not_before = now + min(_FIRST * 2**failures.count, _LONGEST)
            failures.count += 1
        if retry_after is not None:
            failures.not_before = now + retry_after
        return failures.refused and self._arrivals > failures.arrivals

    def arrived(self) -> None:
        """Note that the archive took a file."""
        self._arrivals += 1
        self._failures.pop(ARCHIVE, None)

    def end_all_waits(self) -> None:
        """Let everything be tried at once, because there may be no later; what is refused then is not tried again."""
        self._ending = True
        for failures in self._failures.values():
            failures.not_before, failures.refused = 0.0, False

    def forget_files_but(self, names: Collection[str]) -> None:
        """Drop what is remembered of files that are gone."""
        self._failures = {name: seen for name, seen in self._failures.items() if name in names or name == ARCHIVE}
