"""What a monitor has done and sees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class MonitorStatistics:
    """A monitor's counts since it was made, and what its last look at the directory found.

    Attributes:
        scans: Looks at the directory.
        created: Files that were put into the archive.
        same: Files that were there already, from an attempt whose end this directory did not see.
        conflicts: Files whose name was taken by other content, and that stand beside it as ``…conflict-…``.
        failed: Attempts that failed; the file stays and is tried again.
        adopted: Current files of dead writers that were closed for them.
        removed: Files without a record that were removed.
        live: Files that somebody has locked: a living writer, or another monitor.
        waiting: Files that are ready for the archive.
        kept: Files that stay because there is no archive.
        foreign: Log files that do not start with a header of ours; they are left alone.
    """

    scans: int = 0
    created: int = 0
    same: int = 0
    conflicts: int = 0
    failed: int = 0
    adopted: int = 0
    removed: int = 0
    live: int = 0
    waiting: int = 0
    kept: int = 0
    foreign: int = 0

    @property
    def shipped(self) -> int:
        """Files that left this directory for the archive."""
        return self.created + self.same + self.conflicts
