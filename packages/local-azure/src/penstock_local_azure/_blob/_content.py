"""A blob's bytes as a rope of blocks: committing a list of blocks copies nothing, and a range is cut from them."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, Protocol

SLICE: Final = 256 * 1024
"""Bytes handed out at once by :meth:`Content.slices`: what a response holds in its write buffer."""


class Extent(Protocol):
    """A part of a content that is read when it is asked for."""

    def __len__(self) -> int:
        """Bytes."""

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop`` (exclusive)."""


Part = bytes | Extent


class Content:
    """Immutable bytes in one or more parts.

    Args:
        parts: Buffers and extents that nobody changes any more; they are kept, not copied.
    """

    __slots__ = ("_ends", "length", "parts")

    def __init__(self, *parts: Part) -> None:
        self.parts = tuple(part for part in parts if len(part))
        self._ends = tuple(accumulate(len(part) for part in self.parts))
        self.length = self._ends[-1] if self._ends else 0

    @classmethod
    def joined(cls, contents: "Iterable[Content]") -> "Content":
        """The contents one after another, sharing their parts."""
        return cls(*(part for content in contents for part in content.parts))

    def slices(self, start: int = 0, stop: int | None = None) -> Iterator[bytes | memoryview]:
        """The bytes from ``start`` up to ``stop`` (exclusive; None: the end), at most :data:`SLICE` at once."""
        stop = self.length if stop is None else min(stop, self.length)
        while start < stop:
            index = bisect_right(self._ends, start)
            end = min(self._ends[index], stop, start + SLICE)
            begin = self._ends[index] - len(self.parts[index])
            yield _cut(self.parts[index], start - begin, end - begin)
            start = end

    def __bytes__(self) -> bytes:
        return b"".join(self.slices())

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"Content({self.length} bytes in {len(self.parts)} parts)"


def _cut(part: Part, start: int, stop: int) -> bytes | memoryview:
    return memoryview(part)[start:stop] if isinstance(part, bytes) else part.read(start, stop)


EMPTY: Final = Content()
"""No bytes at all."""
