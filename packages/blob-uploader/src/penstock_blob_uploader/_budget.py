"""A bounded amount of something, handed out first come first served. Pure: it decides, `_gate` waits."""

from collections import OrderedDict
from collections.abc import Hashable


class Budget:
    """So many units in all; each asker holds its share until it gives it back.

    Methods that free units return the askers whose turn has come, so the caller can wake them. Nobody overtakes: a
    large request at the head waits for room, and everything behind it waits too, so it is never starved.
    """

    def __init__(self, units: int) -> None:
        self._free = units
        self._units = units
        self._waiting: OrderedDict[Hashable, int] = OrderedDict()

    @property
    def free(self) -> int:
        """Units nobody holds."""
        return self._free

    def ask(self, asker: Hashable, units: int) -> bool:
        """Take ``units`` now (True), or queue up for them (False). More than there are in all counts as all."""
        share = self.share(units)
        if self._waiting or share > self._free:
            self._waiting[asker] = share
            return False
        self._free -= share
        return True

    def give_back(self, units: int) -> list[Hashable]:
        """Return the share that was taken for ``units``; the result names whose turn has come."""
        self._free += self.share(units)
        return self._admit()

    def withdraw(self, asker: Hashable, units: int) -> list[Hashable]:
        """Leave the queue, or return the share if its turn has just come; the result names whose turn has come."""
        if self._waiting.pop(asker, None) is None:
            self._free += self.share(units)
        return self._admit()

    def share(self, units: int) -> int:
        """Return what a request for ``units`` is charged."""
        return min(units, self._units)

    def _admit(self) -> list[Hashable]:
        """Serve the queue from its head while there is room."""
        admitted: list[Hashable] = []
        while self._waiting:
            asker, share = next(iter(self._waiting.items()))
            if share > self._free:
                break
            del self._waiting[asker]
            self._free -= share
            admitted.append(asker)
        return admitted
