"""A fault script, whatever the service: what goes wrong with what, on which occasions, and the account of it."""

from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock_local_azure._occasions import Occasions

FaultT = TypeVar("FaultT")


@dataclass(frozen=True, slots=True)
class _Line(Generic[FaultT]):
    """One line of the script."""

    fault: FaultT
    about: tuple[str | None, ...]
    occasions: Occasions

    def strikes(self, found: tuple[str, ...]) -> bool:
        """Whether an occasion goes wrong; counts it if the line is about such, where None is about any."""
        pairs = zip(self.about, found, strict=True)
        return all(wanted in (None, one) for wanted, one in pairs) and self.occasions.next()


class FaultScript(Generic[FaultT]):
    """The lines, and the account of what they did.

    Each line counts what it is about, from when it was added; so a test that does the same things in the same order
    meets the same faults. If several lines fire at once, the one added first happens.
    """

    def __init__(self) -> None:
        self._lines: list[_Line[FaultT]] = []
        self.fired: Counter[tuple[str, str, str]] = Counter()
        """How often which fault happened, with which operation, and where."""

    def clear(self) -> None:
        """Forget the script: from now on all goes well. The account stays."""
        self._lines.clear()

    def note(self, fault: FaultT, operation: str, where: str) -> None:
        """Note that a fault happens."""
        self.fired[type(fault).__name__, operation, where] += 1

    def _write(self, fault: FaultT, about: tuple[str | None, ...], occasions: Occasions) -> None:
        """Add a line."""
        self._lines.append(_Line(fault, about, occasions))

    def _struck(self, *found: str) -> FaultT | None:
        """Tell what goes wrong on an occasion."""
        # A list, so that every line counts the occasion, also when an earlier one fires.
        striking = [line.fault for line in self._lines if line.strikes(found)]
        return striking[0] if striking else None

    def _accounted(self, place: str) -> list[dict[str, str | int]]:
        """Return what happened, ready for JSON; ``place`` is what the service calls where it happens."""
        return [
            {"fault": fault, "on": operation, place: where, "count": count}
            for (fault, operation, where), count in sorted(self.fired.items())
        ]
