"""Whose turn it is: start-time fair queueing between apps (Goyal, Vin, Cheng, "Start-time Fair Queuing", 1996).

Every app has a clock of its own, which an order moves on by its tokens divided by the app's weight, and the app whose
clock is furthest behind is next. Virtual time is the clock of the app whose turn it is. An app that comes back after a
rest starts at virtual time: what it did not use is gone, and nobody owes it anything.

Between two apps that both wait, the tokens by weight never differ by more than one order of each. An order that passes
the head uses what the head cannot use, and is given beyond that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEW = 64
"""Clocks that are kept without looking whether they still say anything."""


class FairShares:
    """The apps' clocks.

    Args:
        weights: Each app's weight; 1 where none is given.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._virtual = 0.0
        self._clocks: dict[str, float] = {}
        self._many = _FEW

    def clocks(self) -> tuple[float, dict[str, float]]:
        """Return virtual time, and the clock of each app that has one: what `follow` takes."""
        return self._virtual, dict(self._clocks)

    def follow(self, virtual: float, clocks: Mapping[str, float]) -> None:
        """Go on with the clocks of another process."""
        self._virtual, self._clocks = virtual, dict(clocks)

    def start(self, app: str) -> float:
        """Return where the app's next order starts; the lowest is next."""
        return max(self._virtual, self._clocks.get(app, 0.0))

    def elect(self, app: str) -> None:
        """Note that it is this app's turn: virtual time is where its order starts."""
        self._virtual = self.start(app)

    def charge(self, app: str, tokens: int) -> None:
        """Move the app's clock on by an order that had its turn, or passed the head.

        In either case as far as one turn brings it, and no further: otherwise an app that uses for hours what nobody
        else can use would have to stand back as long when another app comes.
        """
        self._set(app, max(self.start(app), self._virtual + self._cost(app, tokens)))

    def forget(self) -> None:
        """Start anew, all equal, because nobody waits."""
        self._virtual = 0.0
        self._clocks.clear()

    def _cost(self, app: str, tokens: int) -> float:
        """Return how far so many tokens move the app's clock."""
        return tokens / self._weights.get(app, 1.0)

    def _set(self, app: str, clock: float) -> None:
        """Set a clock, and now and then drop those that virtual time has overtaken."""
        self._clocks[app] = clock
        if len(self._clocks) > self._many:
            self._clocks = {name: at for name, at in self._clocks.items() if at > self._virtual}
            self._many = max(_FEW, 2 * len(self._clocks))
