"""Compressing a file on its way, block by block."""

import zlib
from typing import Final

from penstock_blob_uploader._reading import AS_GZIP, Blocks

GROWTH: Final = 4096
"""Bytes by which gzip may make up to 4 MiB longer, at most: 5 for every 16 KiB it cannot compress, and its frame."""


class Gzipped:
    """The blocks of a file, compressed. Like `Blocks` it blocks, and is read in a thread, by one reader at a time."""

    def __init__(self, blocks: Blocks, *, block_size: int) -> None:
        self._blocks = blocks
        self._block_size = block_size
        self._compressor = zlib.compressobj(wbits=AS_GZIP)
        self._pending = bytearray()
        self._ended = False

    @property
    def sha256(self) -> str:
        """Hex digest of the file, not of what it is compressed to."""
        return self._blocks.sha256

    @property
    def length(self) -> int:
        """Bytes of the file read so far."""
        return self._blocks.length

    def next_block(self) -> bytes:
        """Return the next block; ``b""`` after the end, which was checked as `Blocks` does.

        Raises:
            SourceError: The file cannot be read, or is not as expected.
        """
        while len(self._pending) < self._block_size and not self._ended:
            data = self._blocks.next_block()
            self._ended = not data
            self._pending += self._compressor.compress(data) if data else self._compressor.flush()
        block = bytes(self._pending[: self._block_size])
        del self._pending[: self._block_size]
        return block
