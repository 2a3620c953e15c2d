"""Where a lock proves anything: within one running kernel, on a file system of its own.

On a network file system a lock may be local to each host (NFS with ``nolock`` or ``local_lock``, SMB with ``nobrl``),
and a sandbox with a kernel of its own (gVisor, Kata) sees none of its neighbours'. There, the lock speaks only for
files that were written under the same boot id; for all others their host's lease does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from penstock_logging_monitor._header import boot_id

if TYPE_CHECKING:
    from penstock_logging_monitor._header import Header

_SHARED = frozenset(
    {"9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs"}
    | {"nfs4", "ocfs2", "prl_fs", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav"}
)
_SHARED_FAMILIES = ("fuse", "macfuse", "osxfuse", "nfs", "smb")


@dataclass(frozen=True, slots=True)
class LockDomain:
    """What a lock in a directory says, and of whom.

    Attributes:
        boot_id: Identity of the kernel that runs here.
        file_system: Type of the directory's file system; empty when the system does not say.
        shared: Whether other kernels may write here whose locks cannot be seen.
    """

    boot_id: str
    file_system: str = ""
    shared: bool = False

    @classmethod
    def of(cls, directory: Path) -> LockDomain:
        """Look at a directory that exists."""
        kind = file_system_of(directory)
        return cls(boot_id(), kind, is_shared(kind))

    def covers(self, header: Header) -> bool:
        """Say whether a free lock proves that the writer of this header is dead."""
        return not self.shared or header.boot_id == self.boot_id


def is_shared(file_system: str) -> bool:
    """Say whether several hosts may write to a file system of this type."""
    kind = file_system.lower()
    return kind in _SHARED or kind.startswith(_SHARED_FAMILIES)


def file_system_of(directory: Path) -> str:
    """Return the type of the file system that a directory is on, such as ``ext4`` or ``nfs4``."""
    place = directory.resolve()
    mounts = [(len(point.parts), kind) for point, kind in _mounts() if place.is_relative_to(point)]
    return max(mounts, key=lambda mount: mount[0])[1] if mounts else ""


def _mounts() -> list[tuple[Path, str]]:
    """List places and types of all mounts, the latest first: it hides what was mounted at the same place before."""
    try:
        mounts = psutil.disk_partitions(all=True)
    except (psutil.Error, OSError):
        return []
    return [(Path(mount.mountpoint), mount.fstype) for mount in reversed(mounts)]
