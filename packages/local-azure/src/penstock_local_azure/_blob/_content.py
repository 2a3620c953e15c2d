"""A blob's bytes as a rope of blocks: committing a list of blocks copies nothing, and a range is cut from views."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

SLICE = 256 * 1024
"""Bytes handed out at once by :meth:`Content.slices`: what a response holds in its write buffer."""


class Content:
    """Immutable bytes in one or more parts.

    Args:
        parts: Buffers that nobody changes any more; they are kept, not copied.
    """

    __slots__ = ("_ends", "length", "parts")

    def __init__(self, *parts: bytes | bytearray) -> None:
        self.parts = tuple(part for part in parts if part)
        self._ends = tuple(accumulate(len(part) for part in self.parts))
        self.length = self._ends[-1] if self._ends else 0

    @classmethod
    def joined(cls, contents: "Iterable[Content]") -> "Content":
        """The contents one after another, sharing their buffers."""
        return cls(*(part for content in contents for part in content.parts))

    def slices(self, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """Views of the bytes from ``start`` up to ``stop`` (exclusive; None: the end), at most :data:`SLICE` each."""
        stop = self.length if stop is None else min(stop, self.length)
        while start < stop:
            index = bisect_right(self._ends, start)
            end = min(self._ends[index], stop, start + SLICE)
            begin = self._ends[index] - len(self.parts[index])
            yield memoryview(self.parts[index])[start - begin : end - begin]
            start = end

    def __bytes__(self) -> bytes:
        return b"".join(self.slices())

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"Content({self.length} bytes in {len(self.parts)} parts)"
