"""What the monitor needs of an archive."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Arrival(Enum):
    """The two ways in which a file can be in its place."""

    CREATED = "created"
    SAME = "same"


class Target(Protocol):
    """An archive that takes whole files under names, and never replaces one.

    One that also has ``async def check(self) -> str`` can be tried by ``penstock-log-monitor doctor``: it returns what
    it found, or raises.
    """

    async def open(self) -> None:
        """Get ready; called once, before the first `put`."""

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
        """Store a file under a name that may contain ``/``; return how it comes to be there.

        Args:
            path: The file, packed if the name says so.
            name: Where it belongs.
            metadata: ``raw_sha256`` and ``raw_length`` of the log as it was written, its ``lines``, perhaps ``torn``.

        Raises:
            NameTakenError: Other content has this name.
            Exception: The file is not, or not for certain, in its place; another attempt is welcome.
        """

    async def close(self) -> None:
        """Let go of connections."""
