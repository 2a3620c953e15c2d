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
    """Holds a body in one buffer of its size.

    Args:
        length: Bytes that will come.
    """

    def __init__(self, length: int) -> None:
        self._buffer = bytearray(length)
        self._filled = 0

    def write(self, piece: bytes) -> None:
        """Take in the next piece."""
        self._buffer[self._filled : self._filled + len(piece)] = piece
        self._filled += len(piece)

    def close(self) -> None:
        """There is nothing to end."""

    def content(self) -> Content:
        """The buffer, which nobody changes any more."""
        return Content(self._buffer)


class Memory:
    """Keeps bytes in memory. Of records it needs none: the store holds them already."""

    def open(self) -> Iterable[Container]:
        """There is nothing to begin with."""
        return ()

    def close(self) -> None:
        """There is nothing to end."""

    def writer(self, length: int) -> Writer:
        """A writer for a body of so many bytes."""
        return MemoryWriter(length)

    def save_container(self, container: Container) -> None:
        """The store holds it."""

    def drop_container(self, name: str) -> None:
        """The store forgets it."""

    def save_blob(self, container: str, name: str, blob: StoredBlob) -> None:
        """The store holds it."""

    def drop_blob(self, container: str, name: str) -> None:
        """The store forgets it."""
