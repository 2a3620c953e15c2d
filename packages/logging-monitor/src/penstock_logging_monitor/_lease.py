"""Signs of life between hosts that share a directory but not a kernel: a small file each, touched again and again.

As long as one host's monitor renews its lease, no other host's monitor touches the log files of that kernel; when it
has not for `LEASE` and then `GRACE` seconds, they are orphans. Both times are the file server's: it dates every lease.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from penstock_logging_monitor._domain import LockDomain

LEASE = 60.0  # seconds
GRACE = 600.0  # seconds

_PREFIX = ".penstock-lease-"
_LONGEST = 64  # characters; a header may say anything
_UNSAFE = re.compile(r"[^A-Za-z0-9-]")


class Leases:
    """The leases in a directory; there are none where locks alone decide.

    Args:
        directory: The shared directory.
        domain: What locks say there.
    """

    def __init__(self, directory: Path, domain: LockDomain) -> None:
        self._directory = directory
        self._domain = domain
        self._now = time.time()

    def renew(self) -> None:
        """Say that this host's monitor lives.

        Raises:
            OSError: The file cannot be written.
        """
        if not self._domain.shared:
            return
        own = self._path(self._domain.boot_id)
        own.touch()
        self._now = own.stat().st_mtime

    def was_seen(self, boot_id: str) -> bool:
        """Say whether a kernel ever had a lease here."""
        return self._path(boot_id).exists()

    def has_ended(self, boot_id: str) -> bool:
        """Say whether the files of a kernel are orphans; without a lease, nobody can know, and they are not."""
        try:
            renewed = self._path(boot_id).stat().st_mtime
        except OSError:
            return False
        return self._now - renewed > LEASE + GRACE

    def _path(self, boot_id: str) -> Path:
        return self._directory / (_PREFIX + _UNSAFE.sub("_", str(boot_id))[:_LONGEST])
