"""What a monitor has done and sees."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True, kw_only=True)
class Sight:
    """What one look at a directory of log files finds.

    Attributes:
        oldest_waiting: When the oldest file that is ready for the archive was last written, in epoch seconds; None:
            there is none.
        waiting: Files that are ready for the archive: on their way, not yet at their turn, or to be tried again.
        waiting_bytes: Bytes of these.
        live: Files that somebody has locked: a living writer, or another monitor.
        kept: Files that stay because there is no archive.
        foreign: Log files that do not start with a header of ours; they are left alone.
        other_hosts: Files on a shared file system that another host's monitor looks after.
        unreadable: Files that this process may not open; nobody can say whether their writers live.
        quarantined: Files in ``quarantine/``, which somebody must look at.
    """

    oldest_waiting: float | None = None
    waiting: int = 0
    waiting_bytes: int = 0
    live: int = 0
    kept: int = 0
    foreign: int = 0
    other_hosts: int = 0
    unreadable: int = 0
    quarantined: int = 0

    def see_waiting(self, written: float, size: int) -> None:
        """Count a file that is ready for the archive."""
        self.waiting += 1
        self.waiting_bytes += size
        self.oldest_waiting = written if self.oldest_waiting is None else min(written, self.oldest_waiting)

    def oldest_unshipped_age(self, now: float) -> float:
        """Return for how many seconds the oldest file has been ready for the archive; 0: nothing waits."""
        return 0.0 if self.oldest_waiting is None else max(0.0, now - self.oldest_waiting)


@dataclass(slots=True, kw_only=True)
class MonitorStatistics(Sight):
    """A monitor's counts since it was made, and what its last look at the directory found.

    Attributes:
        scans: Looks at the directory.
        refused: Files among the waiting that the archive has refused for good three times or more. They are put aside
            if it takes others meanwhile.
        created: Files that were put into the archive.
        same: Files that were there already, from an attempt whose end this directory did not see.
        conflicts: Files whose name was taken by other content, and that stand beside it as ``…conflict-…``.
        copied: Files of the older naming that were copied, because nobody can know whether their writers live.
        failed: Attempts that failed; the file stays and is tried again.
        adopted: Current files of dead writers that were closed for them.
        torn: Files that were shipped with a last line that their writers had no time to end.
        removed: Files without a record that were removed.
        expired: Files that were removed because they had been here for as long as they were to.
        dropped: Files that were removed, unshipped, because the directory was full.
        dropped_bytes: Bytes of these.
    """

    scans: int = 0
    refused: int = 0
    created: int = 0
    same: int = 0
    conflicts: int = 0
    copied: int = 0
    failed: int = 0
    adopted: int = 0
    torn: int = 0
    removed: int = 0
    expired: int = 0
    dropped: int = 0
    dropped_bytes: int = 0

    @property
    def shipped(self) -> int:
        """Files that left this directory for the archive."""
        return self.created + self.same + self.conflicts

    def update(self, sight: Sight) -> None:
        """Take over what a look found."""
        for field in fields(Sight):
            setattr(self, field.name, getattr(sight, field.name))
