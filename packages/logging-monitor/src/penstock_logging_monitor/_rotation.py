"""When a current file is full; a pure decision."""

from __future__ import annotations

from dataclasses import dataclass

DAY_NS = 24 * 60 * 60 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class RotationRule:
    """A file holds the records of one UTC day, and about ``max_bytes`` at most.

    The day's *change* counts, in either direction: a clock stepped back starts a new file too. A single record above
    ``max_bytes`` still goes into a file of its own, whole.
    """

    max_bytes: int

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {self.max_bytes}")

    def is_due(self, *, opened_ns: int, now_ns: int, size: int, has_records: bool, incoming: int) -> bool:
        """Say whether a record of ``incoming`` bytes belongs into the next file."""
        if opened_ns // DAY_NS != now_ns // DAY_NS:
            return True
        return has_records and size + incoming > self.max_bytes
