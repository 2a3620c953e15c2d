"""What each app was granted since the start, for those who look on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._grant import Grant

_MOST_APPS = 1000
"""Apps that are remembered; of more, those that came first are forgotten."""


class _Total:
    """One app's grants and their tokens."""

    __slots__ = ("granted", "tokens")

    def __init__(self) -> None:
        self.granted = self.tokens = 0


class Totals:
    """The apps' totals."""

    def __init__(self) -> None:
        self._apps: dict[str, _Total] = {}

    def add(self, grant: Grant) -> None:
        """Count a grant."""
        app = grant.order.app
        total = self._apps.get(app)
        if total is None:
            total = self._apps[app] = _Total()
            if len(self._apps) > _MOST_APPS:
                del self._apps[next(iter(self._apps))]
        total.granted += 1
        total.tokens += grant.tokens

    def facts(self, waits: Mapping[str, tuple[int, float]]) -> dict[str, dict[str, Any]]:
        """Return the totals by app, with how many wait and for how long the first of them did."""
        apps = {*self._apps, *list(waits)[:_MOST_APPS]}
        return {app: self._facts(app, *waits.get(app, (0, 0.0))) for app in sorted(apps)}

    def _facts(self, app: str, waiting: int, oldest: float) -> dict[str, Any]:
        """Say how one app stands."""
        total = self._apps.get(app, _Total())
        return {
            "waiting": waiting,
            "oldest_wait_seconds": round(oldest, 3),
            "granted": total.granted,
            "granted_tokens": total.tokens,
        }
