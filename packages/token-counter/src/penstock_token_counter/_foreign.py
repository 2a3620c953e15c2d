"""Grants that another counter gave: a sign that two ledgers count the same quota, each without the other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_LOG = logging.getLogger(__name__)


class ForeignIds:
    """Counts the ids of one pool that no counter of its line of succession gave.

    Callers of the counter before this one come back for a while, so nothing is counted before ``since``. A counter
    whose grants are in the journal is an ancestor, however late its callers are.

    Args:
        pool: The pool's name.
        since: The time from which on nobody should have an id of another counter.
    """

    def __init__(self, pool: str, *, since: float) -> None:
        self.count = 0
        self._pool = pool
        self._since = since
        self._family: set[str] = set()

    def adopt(self, grant_ids: Iterable[str]) -> None:
        """Take those who gave these grants for ancestors."""
        self._family.update(map(_instance, grant_ids))

    def note(self, grant_id: str, *, ours: Container[str], now: float) -> None:
        """Note a grant that is not known, unless it begins as those do that the pool gave at any time."""
        instance = _instance(grant_id)
        if now < self._since or instance in ours or instance in self._family:
            return
        self.count += 1
        if self.count == 1:
            _LOG.warning(
                "a grant of the token counter %s was reported to this one, pool %s: two counters hand out "
                "the same quota twice, so stop one of them",
                instance,
                self._pool,
            )


def _instance(grant_id: str) -> str:
    """Return the part of an id that tells which counter gave it."""
    return grant_id.partition("-")[0]
