"""Maps that stay as they are encoded, so that what a broker does not look at passes through byte for byte."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ._decode import DecodeError, decode, open_compound, skip
from ._encode import described, map_of
from ._types import Value


@dataclass(frozen=True, slots=True)
class RawMap:
    """A map as its encoded keys and values, `size` of both together."""

    size: int = 0
    body: bytes = b""

    @classmethod
    def of(cls, data: bytes, offset: int) -> "RawMap":
        """Cut the map at `offset` open.

        Raises:
            DecodeError: if there is none, or its entries are not what its size says: nobody looks again later.
        """
        if data[offset] not in (0xC1, 0xD1):
            raise DecodeError("a section that should hold a map does not")
        size, start, end = open_compound(data, offset)
        opened = cls(size, data[start:end])
        if 2 * sum(1 for _ in opened._spans()) != size:
            raise DecodeError("a map of another size than it says")
        return opened

    def plus(self, size: int, body: bytes) -> "RawMap":
        """Append encoded entries; whoever does so knows that their keys are new."""
        return RawMap(self.size + size, self.body + body)

    def without(self, keys: Collection[str]) -> "RawMap":
        """Leave out the entries of some keys; all others stay as they are encoded."""
        kept = [self.body[start:end] for key, start, end in self._spans() if key not in keys]
        return RawMap(2 * len(kept), b"".join(kept))

    def get(self, wanted: str) -> Value:
        """Read the value of one key; None if it is not there."""
        for key, start, _ in self._spans():
            if key == wanted:
                return decode(self.body, skip(self.body, start))[0]
        return None

    def encoded(self, code: int) -> bytes:
        """Write the map as the section `code`; nothing if it is empty."""
        return described(code, map_of(self.body, self.size)) if self.size else b""

    def _spans(self) -> Iterator[tuple[str, int, int]]:
        """Yield every key with where its entry starts and ends."""
        offset = 0
        while offset < len(self.body):
            key, value = decode(self.body, offset)
            if not isinstance(key, str):
                raise DecodeError("a key that is no name")
            end = skip(self.body, value)
            yield key, offset, end
            offset = end
