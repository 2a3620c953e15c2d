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
    """An archive that takes whole files under names, and never replaces one."""

    async def open(self) -> None:
        """Get ready; called once, before the first `put`."""

    async def put(self, path: Path, name: str, metadata: Mapping[str, str]) -> Arrival:
        """Store a file under a name that may contain ``/``; return how it comes to be there.

        Raises:
            NameTakenError: Other content has this name.
            Exception: The file is not, or not for certain, in its place; another attempt is welcome.
        """

    async def close(self) -> None:
        """Let go of connections."""
