"""How long to leave a file alone after an upload that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_FIRST = 1.0  # seconds
_LONGEST = 60.0  # seconds


class Patience:
    """Remembers failures by file name: the wait doubles from one to sixty seconds, or is what the archive asked for.

    Args:
        monotonic: Seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: dict[str, tuple[int, float]] = {}

    def allows(self, name: str) -> bool:
        """Say whether the file may be tried now."""
        _, not_before = self._failures.get(name, (0, 0.0))
        return self._monotonic() >= not_before

    def failed(self, name: str, retry_after: float | None) -> bool:
        """Note a failure; say whether it is the file's first."""
        count, _ = self._failures.get(name, (0, 0.0))
        wait = min(_FIRST * 2**count, _LONGEST) if retry_after is None else retry_after
        self._failures[name] = (count + 1, self._monotonic() + wait)
        return count == 0

    def forget_all_but(self, names: Collection[str]) -> None:
        """Drop what is remembered of files that are gone."""
        self._failures = {name: failure for name, failure in self._failures.items() if name in names}
