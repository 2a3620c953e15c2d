"""Where an account's bytes and records are kept: the interface, and memory."""

from collections.abc import Iterable
from typing import Protocol

from ._content import Content
from ._records import Container, StoredBlob


class Writer(Protocol):
    """Takes in a body, piece by piece."""

    def write(self, piece: bytes) -> None:
        """Take in the next piece."""

    def close(self) -> None:
        """End, whole or not."""

    def content(self) -> Content:
        """What was taken in, once it is whole and closed."""


class Medium(Protocol):
    """Keeps bytes, and a record of every change before the store makes it. Methods raise OSError when it cannot."""

    def open(self) -> Iterable[Container]:
        """Begin, with what was kept before."""

    def close(self) -> None:
        """End; what is kept stays."""

    def writer(self, length: int) -> Writer:
        """A writer for a body of so many bytes."""

    def save_container(self, container: Container) -> None:
        """Keep what is said of a container, beside what it holds."""

    def drop_container(self, name: str) -> None:
        """Forget a container and all it holds."""

    def save_blob(self, container: str, name: str, blob: StoredBlob) -> None:
        """Keep a blob in place of any that has its name."""

    def drop_blob(self, container: str, name: str) -> None:
        """Forget a blob."""


class MemoryWriter:
    """Holds a body as the pieces it came in, so that nothing is copied."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        """Take in the next piece."""
        self._pieces.append(piece)

    def close(self) -> None:
        """There is nothing to end."""

    def content(self) -> Content:
        """The pieces."""
        return Content(*self._pieces)


class Memory:
    """Keeps bytes in memory. Of records it needs none: the store holds them already."""

    def open(self) -> Iterable[Container]:
        """There is nothing to begin with."""
        return ()

    def close(self) -> None:
        """There is nothing to end."""

    def writer(self, length: int) -> Writer:  # noqa: ARG002  # memory needs no notice
        """A writer for a body of so many bytes."""
        return MemoryWriter()

    def save_container(self, container: Container) -> None:
        """The store holds it."""

    def drop_container(self, name: str) -> None:
        """The store forgets it."""

    def save_blob(self, container: str, name: str, blob: StoredBlob) -> None:
        """The store holds it."""

    def drop_blob(self, container: str, name: str) -> None:
        """The store forgets it."""
